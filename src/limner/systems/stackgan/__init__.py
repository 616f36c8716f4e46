"""StackGAN: a sketch of the caption, then its refinement at several times the size (Zhang et al., ICCV 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError
from limner.matching.config import MatchingConfig
from limner.systems.inputs import BLEND_INPUTS, TEMPERATURE_INPUT
from limner.systems.protocol import System
from limner.systems.stackgan.config import StackGanConfig
from limner.systems.stackgan.presets import PRESETS, debug_form

if TYPE_CHECKING:
    from limner.data.pictures import Corpus
    from limner.systems.stackgan.painter import StackGanPainter
    from limner.training.stage import Components, Stage


def stage_names(config: StackGanConfig) -> tuple[str, ...]:
    """text-encoder (where one is trained), sketch, refinement."""
    return (*(("text-encoder",) if isinstance(config.text, MatchingConfig) else ()), "sketch", "refinement")


def build_stage(name: str, config: StackGanConfig, corpus: Corpus, components: Components, seed: int) -> Stage:
    """A stage with fresh networks. Raises LimnerError for a name that is none of ``stage_names``."""
    if name == "text-encoder" and isinstance(config.text, MatchingConfig):
        from limner.matching.stage import MatchingStage

        return MatchingStage(config.text, corpus, seed)
    if name == "sketch" or name == "refinement":
        from limner.systems.stackgan.stages import StackGanStage

        return StackGanStage(name, config, corpus, components, seed)
    raise LimnerError(f"StackGAN has no stage {name!r} here; it has {', '.join(stage_names(config))}.")


def stage_settings(config: StackGanConfig, name: str) -> tuple[Any, ...]:
    """The parts of the configuration that a stage is trained by."""
    return {"text-encoder": (config.text,), "sketch": (config.networks, config.sketch),
            "refinement": (config.networks, config.refinement)}[name]


def build_painter(config: StackGanConfig, components: Components) -> StackGanPainter:
    """The painter of trained components."""
    from limner.systems.stackgan.painter import StackGanPainter

    return StackGanPainter(config, components)


SYSTEM = System(
    name="stackgan",
    title="StackGAN: sketches the caption, then refines it at several times the size (Zhang et al. 2017)",
    config_type=StackGanConfig,
    presets=PRESETS,
    stage_names=stage_names,
    build_stage=build_stage,
    build_painter=build_painter,
    stage_settings=stage_settings,
    painting_stages=("sketch", "refinement"),
    debug=debug_form,
    inputs={
        **BLEND_INPUTS,
        "sketch_index": "refine the sketch of this index: with -n, many pictures of one sketch",
        "temperature": TEMPERATURE_INPUT,
        "condition_noise": "factor on the noise of the conditioning variable: 1 as in training, 0 for its mean",
        "embedding": "numbers in place of the caption's embedding (from Python)",
    },
)
