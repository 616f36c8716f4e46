"""An evaluation as one HTML page: tables, confusions and the paintings behind them, with nothing to be fetched."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from limner.errors import LimnerError
from limner.evaluation.evaluate import Evaluation
from limner.evaluation.metric import Gallery, Table
from limner.evaluation.report import all_notes, all_tables, bands, title
from limner.files import write_text

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c1c1c;
  background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .4rem 0 1.2rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; white-space: nowrap; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
thead th { border-bottom: 2px solid #888; }
.left, tbody th { text-align: left; } tbody th { font-weight: normal; white-space: nowrap; }
.wide { overflow-x: auto; }
.shaded td { min-width: 2.2rem; text-align: center; } .right { outline: 2px solid #2f7d4f; outline-offset: -2px; }
.paintings { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; max-width: 256px; image-rendering: pixelated; }
figcaption { font-size: .82rem; } .wrong { color: #a3261b; } .note { color: #555; }
pre { overflow-x: auto; background: #f5f5f5; padding: 1rem; font-size: .8rem; }
"""


def html_path(path: Path) -> Path:
    """The path, if it can be that of a page. Raises LimnerError."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise LimnerError(f"a page must have a name that ends in .html, got {path.name!r}.")
    return path


def save_page(path: Path, evaluation: Evaluation) -> Path:
    """Writes the page. Raises LimnerError if the name does not end in .html."""
    write_text(html_path(path), page(evaluation))
    return path


def page(evaluation: Evaluation) -> str:
    """The page as text."""
    tables = all_tables(evaluation)
    shown = [table for table in tables if not table.page_only]
    further = [table for table in tables if table.page_only]
    name = escape(title(evaluation))
    record = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False)
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<h1>{name}</h1>",
        *(f'<p class="wrong">Warning: {escape(warning)}</p>' for warning in evaluation.warnings),
        *map(_table, shown),
        *(f'<p class="note">{escape(note)}</p>' for note in all_notes(evaluation)),
        *_paintings(evaluation.gallery, evaluation.bench.seed),
        *(["<h2>Confusions</h2>"] if further else []), *map(_table, further),
        f"<h2>Record</h2><details><summary>Everything that the figures depend on, as JSON</summary>"
        f"<pre>{escape(record)}</pre></details></body></html>\n",
    ]
    return "\n".join(parts)


def _table(table: Table) -> str:
    def alignment(place: int) -> str:
        return ' class="left"' if place == 0 or table.columns[place] in table.left else ""

    head = "".join(f'<th scope="col"{alignment(place)}>{escape(column)}</th>'
                   for place, column in enumerate(table.columns))
    rows = []
    for row in table.rows:
        shares = _shares(row[1:]) if table.shaded else None
        cells = [f'<th scope="row">{escape(row[0])}</th>']
        for place, cell in enumerate(row[1:], 1):
            if shares is None:
                cells.append(f"<td{alignment(place)}>{escape(cell)}</td>")
            else:
                own = ' class="right"' if table.columns[place] == row[0] else ""
                cells.append(f'<td{own} style="background: rgb(47 111 180 / {shares[place - 1]:.2f})">'
                             f"{escape(cell)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    kind = ' class="shaded"' if table.shaded else ""
    return (f'<div class="wide"><table{kind}><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>")


def _shares(cells: Sequence[str]) -> list[float]:
    """How strongly each count of a row is shaded, 0 to 0.6: its share of the row."""
    counts = [int(cell or 0) for cell in cells]
    total = sum(counts) or 1
    return [0.6 * count / total for count in counts]


def _paintings(gallery: Gallery, seed: int) -> list[str]:
    count = len(gallery.pictures)
    parts = []
    for band, rows in bands(gallery, seed):
        about = f", ranked by {gallery.ranked_by}" if band != "random" else ""
        parts.append(f"<h2>Paintings: {band} of {count}{escape(about)}</h2>")
        parts.append(f'<div class="paintings">{"".join(_figure(gallery, int(row)) for row in rows)}</div>')
    return parts


def _figure(gallery: Gallery, row: int) -> str:
    caption = escape(gallery.captions[row])
    words = [caption]
    if gallery.verdicts is not None:
        verdict = gallery.verdicts[row]
        words.append(f'<span class="{"note" if verdict == "right" else "wrong"}">{escape(verdict)}</span>')
    score = "" if gallery.scores is None else f", score {gallery.scores[row]:.3f}"
    words.append(f'<span class="note">seed {gallery.seeds[row]}{score}</span>')
    return (f'<figure><img alt="{caption}" src="{_embedded(gallery.pictures[row])}"><figcaption>{"<br>".join(words)}'
            "</figcaption></figure>")


def _embedded(picture: np.ndarray) -> str:
    """uint8 (H, W, 3) as a PNG within the page."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
