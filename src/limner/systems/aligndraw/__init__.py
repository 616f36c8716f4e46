"""alignDRAW and DRAW: painting stroke by stroke (Mansimov et al., ICLR 2016; Gregor et al., ICML 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.presets import PRESETS, debug_form
from limner.systems.inputs import TEMPERATURE_INPUT
from limner.systems.protocol import System

if TYPE_CHECKING:
    from limner.data.pictures import Corpus
    from limner.systems.aligndraw.painter import AlignDrawPainter
    from limner.training.stage import Components, Stage


def stage_names(config: AlignDrawConfig) -> tuple[str, ...]:
    """drawing, and sharpening where the configuration asks for it."""
    return ("drawing",) if config.sharpening is None else ("drawing", "sharpening")


def build_stage(name: str, config: AlignDrawConfig, corpus: Corpus, components: Components, seed: int) -> Stage:
    """A stage with fresh networks. Raises LimnerError for a name that is none of ``stage_names``."""
    from limner.systems.aligndraw.stages import DrawingStage, SharpeningStage

    if name == "drawing":
        return DrawingStage(config, corpus, seed)
    if name == "sharpening" and config.sharpening is not None:
        return SharpeningStage(config, config.sharpening, corpus, components, seed)
    raise LimnerError(f"alignDRAW has no stage {name!r} here; it has {', '.join(stage_names(config))}.")


def stage_settings(config: AlignDrawConfig, name: str) -> tuple[Any, ...]:
    """The parts of the configuration that a stage is trained by."""
    return {"drawing": (config.drawing, config.captions), "sharpening": (config.sharpening,)}[name]


def build_painter(config: AlignDrawConfig, components: Components) -> AlignDrawPainter:
    """The painter of trained components."""
    from limner.systems.aligndraw.painter import AlignDrawPainter

    return AlignDrawPainter(config, components)


SYSTEM = System(
    name="aligndraw",
    title="alignDRAW and DRAW: stroke by stroke, each with its words (Mansimov et al. 2016, Gregor et al. 2015)",
    config_type=AlignDrawConfig,
    presets=PRESETS,
    stage_names=stage_names,
    build_stage=build_stage,
    build_painter=build_painter,
    stage_settings=stage_settings,
    debug=debug_form,
    painting_stages=("drawing",),
    inputs={"temperature": TEMPERATURE_INPUT},
)
