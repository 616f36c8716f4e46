"""limner models: list painters, and turn a run into a bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from limner.errors import LimnerError

_EXAMPLES = """\
examples:
  limner models                                     the painters that come with Limner
  limner models runs/birds my-bundle                what these folders hold
  limner models --json
  limner models export runs/birds my-birds --half   a run becomes a bundle with a model card
"""

_EXPORT_EXAMPLES = """\
examples:
  limner models export runs/birds my-birds
  limner models export runs/birds my-birds --half --licence "CC BY 4.0" --summary "Paints small birds."
  limner models export runs/birds my-birds --credit "Photographs: A. Person, CC BY 4.0"

The bundle holds config.json, the weights, the vocabularies and a model card README.md.
limner paint CAPTION --model my-birds paints with it.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "models", parents=[common], help="list painters, export a run as a bundle", epilog=_EXAMPLES,
        usage="limner models [FOLDER ...] [--json]\n       limner models export RUN OUT [--half]",
        description="Lists painters: name, system, size, hash, data, licence, scores.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="bundles or runs to describe instead of the "
                        "packaged painters; or: export RUN OUT")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each painter")
    export = parser.add_argument_group("export RUN OUT", _EXPORT_EXAMPLES.partition("\n\n")[2].strip())
    export.add_argument("--half", action="store_true", help="store the weights as float16: half the size")
    export.add_argument("--name", help="name of the bundle (default: that of its folder)")
    export.add_argument("--licence", help="licence of the weights")
    export.add_argument("--credit", help="whom the data is owed to, and under what licence")
    export.add_argument("--summary", help="one sentence for the model card")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    if arguments.folders[:1] == ["export"]:
        _export(arguments)
        return
    from limner.painting.bundle import describe, find, packaged

    bundles = [describe(find(folder)) for folder in arguments.folders] if arguments.folders else packaged()
    if not bundles and not arguments.json:
        print("no painter comes with this installation; limner train makes one.")
    for bundle in bundles:
        if arguments.json:
            print(json.dumps(bundle.to_json()))
            continue
        print(f"{bundle.name}  {bundle.system}  {bundle.size / 1e6:.1f} MB  {bundle.hash[:10]}")
        for title in ("summary", "data", "licence", "credit", "preset", "images", "scores"):
            value = bundle.info.get(title)
            if value:
                print(f"  {title:8} {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _export(arguments: argparse.Namespace) -> None:
    if len(arguments.folders) != 3:
        raise LimnerError("export takes a run (or a bundle) and the folder to write: limner models export RUN OUT.")
    from limner.painting.painter import load

    source, out = arguments.folders[1], Path(arguments.folders[2])
    painter = load(source, device="cpu")
    given = {"name": arguments.name or out.resolve().name,
             **{name: getattr(arguments, name) for name in ("licence", "credit", "summary")}}
    painter.info.update({name: value for name, value in given.items() if value is not None})
    print(painter.save_pretrained(out, half=arguments.half))
