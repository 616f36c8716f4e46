"""Networks always see the same number of rows, so that what they say of one does not depend on its company."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from limner.data.cache import Progress


def in_rows(items: np.ndarray, rows: int, compute: Callable[[np.ndarray], np.ndarray], *,
            progress: Progress | None = None, what: str = "") -> np.ndarray:
    """``compute`` of (N, ...), N at least 1, exactly ``rows`` at a time; the last share is filled up and cut again.

    A convolution's last bits depend on the size of the batch (see ``limner.systems.rows``).
    """
    found = []
    for start in range(0, len(items), rows):
        share = items[start:start + rows]
        filled = np.concatenate([share, np.repeat(share[-1:], rows - len(share), axis=0)])
        found.append(compute(filled)[:len(share)])
        if progress:
            progress(what, min(start + rows, len(items)), len(items))
    return np.concatenate(found)
