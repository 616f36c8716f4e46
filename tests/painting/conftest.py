from __future__ import annotations

from pathlib import Path

import pytest
from tests.painting import toy

from limner import systems
from limner.painting.painter import Painter


@pytest.fixture
def toy_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the toy system into the table."""
    monkeypatch.setitem(systems._MODULES, "toy", "tests.painting.toy")


@pytest.fixture
def bundle(toy_system: None, tmp_path: Path) -> Path:
    config = toy.ToyConfig()
    painter = Painter(toy.SYSTEM, config, toy.ToyPainter(config, toy.fresh_components(config)),
                      info={"name": "toy", "data": "none", "licence": "Apache-2.0", "scores": {"accuracy": 0.5}})
    return painter.save_pretrained(tmp_path / "toy-bundle")
