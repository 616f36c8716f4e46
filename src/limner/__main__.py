"""``python -m limner`` is the command line."""

import sys

from limner.cli import main

if __name__ == "__main__":
    status = main()
    # A Ctrl-C that passed through an exec of a string (dataclasses are made by one) leaves CPython's mark of an
    # uncaught one, and `python -m` would end by the signal instead of our status; the next exec wipes it off.
    exec("")
    sys.exit(status)
