"""limner show: the story of a picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_EXAMPLES = """\
examples:
  limner show ring.png          caption, seed, painter and settings
  limner show ring.png --json   the whole story
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "show", parents=[common], help="print how a picture was painted", epilog=_EXAMPLES,
        description="Prints the story that a PNG of Limner carries.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.png", help="a picture that Limner painted")
    parser.add_argument("--json", action="store_true", help="print the whole story, one JSON object for each file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from limner.painting.png import read_story

    for file in arguments.files:
        story = read_story(file)
        if arguments.json:
            print(json.dumps({"file": str(file), **story}))
            continue
        paintings = story.get("paintings", [story])
        print(f"{file}" + (f": a grid of {len(paintings)} pictures" if "paintings" in story else ""))
        for painting in paintings:
            print("\n".join(_lines(painting)))


def _lines(story: dict[str, Any]) -> list[str]:
    model = story["model"]
    facts = {
        "caption": story["caption"],
        "seed": f"{story['seed']}, index {story['index']}",
        "painter": f"{model.get('name')} ({model.get('system')}, {str(model.get('hash'))[:10]})",
        "inputs": json.dumps(story["inputs"]) if story["inputs"] else "",
        "size": "x".join(map(str, story["size"])),
        "device": story["settings"].get("device", ""),
        "precision": story["settings"].get("precision", ""),
        "version": f"limner {story.get('limner')}",
        "warnings": " ".join(map(str, story["warnings"])),
    }
    return [f"  {name:10}{_visible(str(value))}" for name, value in facts.items() if value]


def _visible(text: str) -> str:
    """A story may come from anywhere: its control characters must not reach the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
