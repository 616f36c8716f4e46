"""limner data: make, check and import folders of captioned pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from limner.cli.terminal import progress, say
from limner.errors import LimnerError

_EXAMPLES = """\
examples:
  limner data make shapes shapes/ --count 10000            generated scenes with captions and ground truth
  limner data make digits digits/ --mnist mnist.npz        two-digit canvases from a local MNIST file
  limner data check my-birds/ --sheet sheet.png            counts, broken files, captions, a contact sheet
  limner data import cub CUB_200_2011/ birds/              the official layout of a data set
  limner data import parquet table.parquet pictures/

A data set is a folder of pictures with metadata.jsonl: one JSON object a line with file_name, text
(one caption or a list) and, if known, label, bbox, keypoints, objects, attributes, split.
Pictures with captions in side files (bird.jpg + bird.txt) and metadata.csv are read too.
"""

_IMPORTERS = {
    "cub": ("limner.interop.datasets.cub", "import_cub"),
    "oxford102": ("limner.interop.datasets.oxford102", "import_oxford102"),
    "coco": ("limner.interop.datasets.coco", "import_coco"),
    "parquet": ("limner.data.tables", "import_tables"),
    "webdataset": ("limner.data.shards", "import_shards"),
}
_IMPORT_OPTIONS = ("captions", "split", "views", "year", "text_column", "image_column", "copy")


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "data", parents=[common], help="make, check and import folders of captioned pictures", epilog=_EXAMPLES,
        description="Makes, checks and imports folders of captioned pictures.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_make(actions, common)
    _add_check(actions, common)
    _add_import(actions, common)


def _add_make(actions: Any, common: argparse.ArgumentParser) -> None:
    make = actions.add_parser("make", parents=[common], help="make a built-in data set",
                              description="Makes a built-in data set: shapes (generated) or digits (from MNIST).",
                              epilog="example:\n  limner data make shapes shapes/ --count 10000 --size 64",
                              formatter_class=argparse.RawDescriptionHelpFormatter)
    make.add_argument("what", choices=("shapes", "digits"))
    make.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    make.add_argument("--count", type=int, default=10_000, help="pictures in all splits together (default 10000)")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    make.add_argument("--size", type=int, help="shapes: side in pixels (default 64)")
    make.add_argument("--objects", choices=("1", "2", "3", "mixed"), help="shapes: objects in a scene (default 1)")
    make.add_argument("--mnist", type=Path, metavar="FILE", help="digits: MNIST as NPZ, IDX or a folder of IDX files")
    make.set_defaults(run=_make)


def _add_check(actions: Any, common: argparse.ArgumentParser) -> None:
    check = actions.add_parser("check", parents=[common], help="look for faults in a data set",
                               description="Counts pictures and captions and lists every fault with its remedy. "
                                           "Exit status 2 if a fault was found.",
                               epilog="example:\n  limner data check my-birds/ --sheet sheet.png",
                               formatter_class=argparse.RawDescriptionHelpFormatter)
    check.add_argument("folder", type=Path, metavar="FOLDER")
    check.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.set_defaults(run=_check)


def _add_import(actions: Any, common: argparse.ArgumentParser) -> None:
    importing = actions.add_parser("import", parents=[common], help="read another layout",
                                   description="Turns the layout of a published data set, a Parquet table or "
                                               "WebDataset shards into a folder of captioned pictures.",
                                   epilog="example:\n  limner data import cub CUB_200_2011/ birds/",
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    importing.add_argument("what", choices=tuple(_IMPORTERS))
    importing.add_argument("source", type=Path, metavar="SRC")
    importing.add_argument("out", type=Path, metavar="OUT")
    importing.add_argument("--captions", metavar="PATH", help="cub, oxford102: captions that are not in their usual "
                           "place")
    importing.add_argument("--split", choices=("trainval", "classes", "images"),
                           help="cub, oxford102: how classes or pictures are held out (default trainval)")
    importing.add_argument("--views", choices=("all", "full", "crops"), help="cub: which pictures of a reduced copy")
    importing.add_argument("--year", type=int, help="coco: 2014 or 2017")
    importing.add_argument("--text-column", metavar="NAME", help="parquet: the column of captions")
    importing.add_argument("--image-column", metavar="NAME", help="parquet: the column of picture bytes")
    importing.add_argument("--copy", action="store_true", default=None, help="copy pictures instead of linking them")
    importing.set_defaults(run=_import)


def _make(arguments: argparse.Namespace) -> None:
    with progress() as bar:
        common = {"count": arguments.count, "seed": arguments.seed, "workers": arguments.workers, "progress": bar}
        if arguments.what == "shapes":
            _refuse(arguments, "mnist")
            from limner.data.shapes import make_shapes

            out = make_shapes(arguments.out, size=arguments.size or 64, objects=arguments.objects or "1", **common)
        else:
            _refuse(arguments, "size", "objects")
            if arguments.mnist is None:
                raise LimnerError("digits are taken from a local MNIST file (nothing is downloaded): "
                                  "name it with --mnist.")
            from limner.data.digits import make_digits

            out = make_digits(arguments.out, mnist=arguments.mnist, **common)
    print(out)


def _refuse(arguments: argparse.Namespace, *names: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            raise LimnerError(f"{arguments.what} takes no --{name}.")


def _import(arguments: argparse.Namespace) -> None:
    from importlib import import_module
    from inspect import signature

    module, function = _IMPORTERS[arguments.what]
    read = getattr(import_module(module), function)
    options = {name: getattr(arguments, name) for name in _IMPORT_OPTIONS if getattr(arguments, name) is not None}
    for name in options:
        if name not in signature(read).parameters:
            raise LimnerError(f"the import of {arguments.what} takes no --{name.replace('_', '-')}.")
    with progress() as bar:
        report = read(arguments.source, arguments.out, progress=bar, **options)
    counts = report if isinstance(report, dict) else report.counts
    for note in () if isinstance(report, dict) else report.notes:
        say(note)
    print(f"{arguments.out}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))


def _check(arguments: argparse.Namespace) -> int:
    from limner.data.check import check_folder, render

    with progress() as bar:
        report = check_folder(arguments.folder, progress=bar)
    if arguments.sheet is not None:
        from limner.data.contact_sheet import save_contact_sheet
        from limner.painting.png import png_path

        save_contact_sheet(arguments.folder, png_path(arguments.sheet))
        say(f"the contact sheet is in {arguments.sheet}")
    if arguments.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        from rich.console import Console

        Console().print(render(report))
    return 0 if report.usable else 2
