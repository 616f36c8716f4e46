"""The command line: one file a command, thin: parse, call the library, print.

Results go to stdout; progress, warnings and errors to stderr. Exit status: 0 success, 2 a mistake of the user's,
1 a fault of ours, a training that stopped itself, or a reader of our output that went away, 130 after Ctrl-C.
Nothing heavier than argparse is imported before a command runs.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import limner
from limner.cli import blend, compare, data, evaluate, explain, models, paint, retrieval, show, train
from limner.cli.terminal import say
from limner.errors import LimnerError, TrainingStopped

_COMMANDS = (paint, blend, compare, show, explain, models, data, train, retrieval, evaluate)

_DESCRIPTION = "Limner paints pictures from words with the classic text-to-image systems, and trains them on your own."

_EXAMPLES = """\
examples:
  limner paint "a small red ring at the top left" --seed 7 --out ring.png
  limner show ring.png
  limner blend "a small red ring" "a large blue star" --out strip.png
  limner compare "a small red ring" --models runs/* --out side-by-side.png
  limner data check my-birds/
  limner train gan-cls my-birds/ --out runs/birds
  limner paint "a small red bird" --model runs/birds -n 8 --out birds.png

limner COMMAND --help explains a command and shows examples of it.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        say(f"error: {message}. Try: {self.prog} --help")
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="limner", description=_DESCRIPTION, epilog=_EXAMPLES,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"limner {limner.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    parser.set_defaults(run=None)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    for command in _COMMANDS:
        command.add_parser(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a caption may hold what the terminal cannot show
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse ends --help with 0 and a wrong command line with 2
        return end.code if isinstance(end.code, int) else 2
    if arguments.run is None:
        _parser().print_help(sys.stderr)
        return 2
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status or 0
    except BrokenPipeError:
        # whoever read our output has left; nothing more can be said there, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        say("stopped by Ctrl-C.")
        return 130
    except (LimnerError, TrainingStopped) as error:
        if arguments.traceback:
            raise
        say(f"error: {error}")
        return 2 if isinstance(error, LimnerError) else 1
    except Exception as error:
        if arguments.traceback:
            raise
        say(f"internal error: {type(error).__name__}: {error}")
        say("this is a fault of Limner, not yours. Repeat the command with --traceback and report what it prints.")
        return 1
