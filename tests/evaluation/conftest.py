from __future__ import annotations

import numpy as np
import pytest

from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.evaluation.oracle import Oracle, OracleConfig
from limner.evaluation.oracle_training import find_oracle

TINY = OracleConfig(size=16, width=16, features=64, steps=300, batch_size=64)
DECIDED = ["shape", "colour", "size", "texture", "place"]


def shapes_corpus(train: int, test: int, size: int) -> Corpus:
    info = {"name": "shapes", "caption_attributes": DECIDED}
    return Corpus({split: PictureSet.from_arrays(*shapes_arrays(count, size=size, split=split), info=info, name=split)
                   for split, count in (("train", train), ("test", test))}, info=info)


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """300 train and 200 test pictures of one shape, 16 px."""
    return shapes_corpus(300, 200, 16)


@pytest.fixture(scope="session")
def oracle(corpus: Corpus) -> Oracle:
    """Knows colours and places, hardly any shapes: enough for the protocol."""
    return find_oracle(corpus, TINY)


@pytest.fixture(scope="session")
def pixels(corpus: Corpus) -> np.ndarray:
    return corpus.split("test").pixels(16)
