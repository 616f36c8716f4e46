"""``python -m limner`` is the command line."""

import sys

from limner.cli import main

if __name__ == "__main__":
    sys.exit(main())
