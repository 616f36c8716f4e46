"""The model card of a bundle: what it is, what it learnt from, how good it is, how to use it."""

from __future__ import annotations

from typing import Any

from limner.systems.protocol import System


def model_card(system: System, info: dict[str, Any]) -> str:
    """A ``README.md`` in Markdown. Says plainly what is not known."""
    name = str(info["name"])
    unknown = "not stated"
    facts = {
        "System": f"{system.name}: {system.title}",
        "Preset": info.get("preset", unknown),
        "Data": _data(info.get("data", unknown)),
        "Images shown in the last painting stage": _number(info.get("images", unknown)),
        "Licence": info.get("licence", unknown),
        **({"Credit": info["credit"]} if "credit" in info else {}),
        "Made with": f"limner {info.get('limner', unknown)}",
    }
    lines = [f"# {name}", "", str(info.get("summary") or f"A painter of pictures from captions ({system.name})."), "",
             *(f"- **{title}:** {value}" for title, value in facts.items()), "", "## Scores", ""]
    scores = info.get("scores") or {}
    lines += [f"- {metric}: {_number(value)}" for metric, value in scores.items()] or ["No scores are recorded."]
    lines += ["", "## How to use", "", "```", f'limner paint "CAPTION" --model {name} --seed 7 --out painting.png',
              "```", "", "```python", "import limner", "",
              f'painter = limner.load("{name}")  # the folder of this file',
              'painting = painter("CAPTION", seed=7)', 'painting.save("painting.png")', "```", ""]
    return "\n".join(lines)


def _data(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_number(item)}" for key, item in value.items())
    return str(value)


def _number(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
