"""The two kinds of trouble that Limner tells apart."""

from __future__ import annotations


class LimnerError(ValueError):
    """A mistake that the user can mend: the message says what was given, what was expected and what to do.

    The command line prints it as one sentence and exits with status 2.
    """


class TrainingStopped(RuntimeError):
    """A training that stopped itself (not a number, collapse, full disk); the last good state is kept.

    The message is the diagnosis. The command line prints it and exits with status 1.
    """
