"""What every system provides. A new system is a folder with these parts and a line in the table of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from limner.data.pictures import Corpus
    from limner.training.stage import Components, Stage


@dataclass(frozen=True)
class System:
    """One of the classic text-to-image systems, described without importing torch."""

    name: str
    title: str
    """One line: what only it can do, and its paper."""
    config_type: type
    presets: Mapping[str, Callable[[], Any]]
    """Preset name -> function that returns the complete configuration; the first is the default of the system."""
    stage_names: Callable[[Any], tuple[str, ...]]
    """Configuration -> names of the stages in the order of training."""
    build_stage: Callable[[str, Any, Corpus, Components, int], Stage]
    """(stage name, configuration, data, what earlier stages made, seed) -> a stage with fresh networks."""
    build_painter: Callable[[Any, Components], SystemPainter]
    """(configuration, components) -> a painter."""
    stage_settings: Callable[[Any, str], tuple[Any, ...]]
    """(configuration, stage name) -> the parts of the configuration that the stage is trained by; with those of the
    stages before it they are all that it depends on."""
    debug: Callable[[Any], Any]
    """Configuration -> one of the same structure, so small that every stage trains in seconds."""
    painting_stages: tuple[str, ...] = ()
    """The stages that learn to paint: from the first on the components make a painter, whose images and scores are
    those of the latest; empty: the last stage."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Extra inputs of painting that the system honours, name -> one line of help; anything else is refused."""


@dataclass(frozen=True)
class Request:
    """One picture to paint."""

    caption: str
    seed: int
    index: int
    """Which of several pictures of the same caption and seed; noise is addressed by (seed, index)."""
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Picture:
    """One picture as a system hands it over."""

    image: np.ndarray
    """uint8 (H, W, 3)."""
    stages: dict[str, np.ndarray] = field(default_factory=dict)
    """Earlier or smaller versions by name, uint8 (H, W, 3)."""
    extras: dict[str, Any] = field(default_factory=dict)
    """What else the system can show: attention, canvases, scene."""


@dataclass(frozen=True)
class StepAttention:
    """What a system that paints in T steps looked at and where it painted: ``Picture.extras["attention"]``."""

    words: tuple[str, ...]
    """The S words of the caption that are read; none for a system without words."""
    weights: np.ndarray
    """float32 (T, S): the share of each word in each step; a row adds up to 1."""
    windows: np.ndarray
    """float32 (T, 4): where each step painted, as fractions of the picture: x and y of the centre of a square, its
    side, and the blur of its points."""


@dataclass(frozen=True, eq=False)
class WordMaps:
    """Where every word of a caption was looked up: ``Picture.extras["attention"]`` of a system whose regions look up
    their words is a dictionary of these, by the side of the picture that the look-up led to ("128")."""

    words: tuple[str, ...]
    """The words of the caption that are read, in order."""
    maps: np.ndarray
    """float32 (words, S, S): at every place the shares of the words, which sum to 1 over the words."""


class SystemPainter(Protocol):
    """A trained system ready to paint. A request gives the same pixels alone, in any batch and after a reload."""

    def paint(self, requests: Sequence[Request]) -> list[Picture]: ...

    def stream(self, request: Request) -> Iterator[Picture]:
        """The picture as it grows; the last one equals that of ``paint``. One-pass systems give one."""
        ...

    def warnings(self, request: Request) -> list[str]:
        """What of a request's texts the system cannot use: unknown words or characters, cut ends."""
        ...

    def components(self) -> Components: ...

    def to(self, device: torch.device) -> SystemPainter: ...
