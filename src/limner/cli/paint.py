"""limner paint: pictures from captions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.terminal import captions_in, inputs_of, progress, say
from limner.errors import LimnerError
from limner.precision import PRECISIONS, Precision

if TYPE_CHECKING:
    from limner.painting.painter import Painter
    from limner.painting.painting import Painting
    from limner.systems.protocol import Request

_EXAMPLES = """\
examples:
  limner paint "a small red ring at the top left"           paints painting.png
  limner paint "a blue star" --seed 7 -n 8 --out stars.png  a grid of eight: (seed 7, index 0) to (7, 7)
  limner paint "a blue star" --seed 0,1,4-6 --out "s{i}.png"  one file each: s1.png to s5.png
  limner paint "a ring" "a star" -n 4 --out both.png        a grid with one row for each caption
  limner paint --captions list.txt --out "out/{i}.png"      one caption a line
  limner paint --like ring.png --out again.png              the very same picture, from the story in the file
  limner paint --like ring.png --seed 8 --out other.png     the same caption with other noise
  limner paint "a red bird" --model runs/birds --json       a painter you trained; the story on stdout
  limner paint "a red ring" --explain words.png             what changes when each word is left out
  limner paint "a red bird" --model runs/birds --input style=@photo.jpg   in the style (pose, ground) of a picture

Every PNG carries its caption, seed, painter and settings: limner show FILE.png prints them.
The paths of the written files go to stdout. Existing files are replaced.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "paint", parents=[common], help="paint pictures from captions", epilog=_EXAMPLES,
        description="Paints pictures from captions.", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", metavar="CAPTION", help="what to paint; several are painted one by one")
    parser.add_argument("--captions", type=Path, metavar="FILE",
                        help="a text file with more captions, one a line (empty lines are passed over)")
    parser.add_argument("--model", metavar="NAME|FOLDER",
                        help="a packaged painter (limner models lists them), a bundle folder or a run folder; "
                             "default faces-attngan")
    parser.add_argument("--seed", metavar="N", help="seed, or several such as 0,1,4-6 (default 0)")
    parser.add_argument("-n", "--images", type=int, metavar="N", help="pictures for each caption and seed (default 1)")
    parser.add_argument("--out", default="painting.png", metavar="FILE",
                        help="PNG to write (default painting.png): the picture, or a grid of several; with {i} "
                             "(the number from 1) in the name, one file for each; {seed} and {index} work too")
    parser.add_argument("--like", type=Path, metavar="PNG", help="paint what this PNG of Limner shows once more; "
                        "a caption, --seed, -n, --input or --model changes that and nothing else")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE",
                        help="an extra input that the system honours; VALUE is JSON, text, or @FILE for a picture")
    parser.add_argument("--gif", metavar="FILE", help="also write the growing picture as a GIF")
    parser.add_argument("--explain", metavar="FILE",
                        help="also write a PNG that shows what each word did: its share in every step if the painter "
                             "works in steps, else the picture with the word left out")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each picture instead of paths")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default auto: a GPU if there is one)")
    parser.add_argument("--precision", choices=PRECISIONS,
                        help="32; bf16, faster on some processors and on GPUs, whose pixels differ a little; or auto, "
                             "bf16 where it is faster (default 32, or that of --like)")
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Order:
    """What is to be painted, and how it is laid out."""

    requests: list[Request]
    columns: int
    labels: list[str] | None
    expected: list[str]
    """Pixel hashes that the result should have, where a picture is painted again unchanged."""
    models: list[Mapping[str, Any]]
    """The painters that the stories name."""
    precision: Precision = "32"
    """That of the stories."""


def run(arguments: argparse.Namespace) -> None:
    out = _checked_out(arguments.out)
    order = _order(arguments)
    total = len(order.requests)
    if (arguments.gif or arguments.explain) and total != 1:
        raise LimnerError(f"--gif and --explain take one caption, one seed and -n 1; this asks for {total} pictures.")
    _check_names(out, order.requests)
    painter = _load(arguments, order)
    written = _paint(painter, order, out, as_json=arguments.json)
    if arguments.gif or arguments.explain:
        _extras(painter, written[0], arguments)
    if order.expected:
        _compare(order.expected, written)


def _order(arguments: argparse.Namespace) -> _Order:
    from limner.painting.requests import parsed_seeds, request_of
    from limner.systems.protocol import Request

    captions = [*arguments.texts, *captions_in(arguments.captions)]
    inputs = inputs_of(arguments.input)
    changes = bool(captions or inputs or arguments.seed is not None or arguments.images is not None)
    told: list[dict[str, Any]] = []
    precision: Precision = "32"
    caption_told, seeds, indices = [], [0], range(1)
    if arguments.like is not None:
        from limner.painting.png import read_story

        story = read_story(arguments.like)
        told = story.get("paintings", [story])
        precision = told[0]["settings"].get("precision", "32")
        if not changes:
            grid = story.get("grid", {})
            return _Order([request_of(one) for one in told], grid.get("columns", 1), grid.get("labels"),
                          [one["pixels"] for one in told], [one["model"] for one in told], precision)
        if len(told) > 1:
            raise LimnerError(f"{arguments.like} is a grid of {len(told)} pictures: it can be painted again as it is, "
                              "but changes need the PNG of one picture.")
        inputs = {**request_of({**story, "inputs": {**story["inputs"], **inputs}}).inputs}
        caption_told, seeds, indices = [story["caption"]], [story["seed"]], range(story["index"], story["index"] + 1)
    captions = captions or caption_told
    if not captions:
        raise LimnerError('there is nothing to paint. Give a caption: limner paint "a small red ring".')
    if arguments.seed is not None:
        seeds = parsed_seeds(arguments.seed)
    if arguments.images is not None:
        if not 1 <= arguments.images <= 1_000_000:
            raise LimnerError(f"-n must be from 1 to 1000000, got {arguments.images}.")
        indices = range(arguments.images)
    requests = [Request(caption, seed, index, inputs) for caption in captions for seed in seeds for index in indices]
    each = len(requests) // len(captions)
    if len(captions) > 1:
        return _Order(requests, each, captions, [], [one["model"] for one in told], precision)
    return _Order(requests, min(each, 8), None, [], [one["model"] for one in told], precision)


def _checked_out(out: str) -> str:
    from limner.painting.png import png_path

    if Path(out).is_dir() or out.endswith("/"):
        raise LimnerError(f"--out {out} is a folder. Name a file in it, as in {out.rstrip('/')}/{{i}}.png.")
    png_path(out)
    return out


def _load(arguments: argparse.Namespace, order: _Order) -> Painter:
    from limner.painting.bundle import DEFAULT

    hashes = {model.get("hash") for model in order.models}
    name = arguments.model or (str(order.models[0].get("name")) if order.models else DEFAULT)
    if len(hashes) > 1:
        raise LimnerError("the pictures of this grid come from several painters; paint them one by one.")
    from limner.painting.painter import load

    try:
        painter = load(name, device=arguments.device, precision=arguments.precision or order.precision)
    except LimnerError as error:
        if arguments.model is None and order.models:
            raise LimnerError(f"the picture comes from the painter {name!r}, which cannot be loaded by its name. "
                              f"Say with --model where it is. ({error})") from None
        raise
    if hashes and painter.model.hash not in hashes:
        message = (f"the picture comes from {order.models[0].get('name')} ({str(*hashes)[:10]}), "
                   f"not from {painter.model.name} ({painter.model.hash[:10]})")
        if arguments.model is None:
            raise LimnerError(f"{message}: it would come out different. To paint with it all the same, "
                              f"add --model {name}.")
        say(f"warning: {message}.")
        order.expected.clear()
    return painter


def _paint(painter: Painter, order: _Order, out: str, *, as_json: bool) -> list[Painting]:
    """Paints, writes and reports; returns the paintings (of numbered files only the first, to hold no others)."""
    from limner.painting.sheet import save_grid

    total = len(order.requests)
    numbered = _is_pattern(out)
    kept: list[Painting] = []
    warned: set[tuple[str, ...]] = set()
    with progress() as report:
        for number, painting in enumerate(painter.paint(order.requests), 1):
            _warn(painting, warned)
            if numbered or total == 1:
                _report(painting, painting.save(_named(out, number, painting)), as_json=as_json)
            if not numbered or total == 1 or order.expected:
                kept.append(painting)
            report("painting", number, total)
    if not numbered and total > 1:
        path = save_grid(out, kept, columns=order.columns, labels=order.labels)
        if as_json:
            for painting in kept:
                _report(painting, path, as_json=True)
        else:
            print(path)
    return kept


_PLACES = ("{i}", "{seed}", "{index}")


def _is_pattern(out: str) -> bool:
    return any(place in out for place in _PLACES)


def _named(out: str, number: int, picture: Request | Painting) -> str:
    for place, value in zip(_PLACES, (number, picture.seed, picture.index), strict=True):
        out = out.replace(place, str(value))
    return out


def _check_names(out: str, requests: list[Request]) -> None:
    """Refuses a pattern that gives two pictures one name, and a grid that would be too large."""
    if not _is_pattern(out):
        from limner.painting.sheet import check_grid

        check_grid(len(requests))
        return
    names = [_named(out, number, request) for number, request in enumerate(requests, 1)]
    if len(set(names)) < len(names):
        raise LimnerError(f"--out {out} gives several pictures the same name: put {{i}} (the number) into it.")


def _report(painting: Painting, path: Path, *, as_json: bool) -> None:
    print(json.dumps({"file": str(path), **painting.story}) if as_json else path, flush=True)


def _warn(painting: Painting, warned: set[tuple[str, ...]]) -> None:
    key = (painting.caption, *painting.warnings)
    if painting.warnings and key not in warned:
        warned.add(key)
        short = painting.caption if len(painting.caption) <= 60 else f"{painting.caption[:57]}..."
        for warning in painting.warnings:
            say(f'warning: "{short}": {warning}')


def _extras(painter: Painter, painting: Painting, arguments: argparse.Namespace) -> None:
    from limner.painting.explain import save_explanation, word_effects
    from limner.painting.film import film_frames, save_attention_map
    from limner.painting.sheet import save_gif
    from limner.systems.protocol import StepAttention

    if arguments.gif:
        frames = film_frames(list(_frames(painter, painting)))
        if len(frames) < 2:
            raise LimnerError(f"{painter.system.name} paints in one step: there is no growing picture to film. "
                              "The picture itself is written.")
        print(save_gif(arguments.gif, frames))
    if arguments.explain and isinstance(painting.attention, StepAttention) and painting.attention.words:
        print(save_attention_map(arguments.explain, painting))
    elif arguments.explain:
        print(save_explanation(arguments.explain, painting, word_effects(painter, painting)))


def _frames(painter: Painter, painting: Painting) -> Iterator[Painting]:
    return painter.stream(painting.caption, seed=painting.seed, index=painting.index, **painting.inputs)


def _compare(expected: list[str], written: list[Painting]) -> None:
    from limner.painting.painting import pixel_hash

    same = sum(pixel_hash(painting.image) == told for painting, told in zip(written, expected, strict=True))
    if same == len(expected):
        say("painted again: every pixel is the same.")
    else:
        say(f"warning: {len(expected) - same} of {len(expected)} pictures differ from the file in some pixels: "
            "another device or another version of torch rounds differently.")
