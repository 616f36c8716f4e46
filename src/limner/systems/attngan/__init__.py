"""AttnGAN: every region looks up its own words (Xu et al., CVPR 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError
from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.presets import PRESETS, debug_form
from limner.systems.inputs import BLEND_INPUTS, COMPLETE_INPUTS, TEMPERATURE_INPUT
from limner.systems.protocol import System

if TYPE_CHECKING:
    from limner.data.pictures import Corpus
    from limner.systems.attngan.painter import AttnGanPainter
    from limner.training.stage import Components, Stage


def stage_names(config: AttnGanConfig) -> tuple[str, ...]:
    """damsm, gan, and prior where the configuration asks for one."""
    return ("damsm", "gan", *(("prior",) if config.prior is not None else ()))


def build_stage(name: str, config: AttnGanConfig, corpus: Corpus, components: Components, seed: int) -> Stage:
    """A stage with fresh networks. Raises LimnerError for a name that is none of ``stage_names``."""
    if name == "damsm":
        from limner.matching.damsm.stage import DamsmStage

        return DamsmStage(config.damsm, corpus, seed)
    if name == "gan":
        from limner.systems.attngan.stage import AttnGanStage

        return AttnGanStage(config, corpus, components, seed)
    if name == "prior" and config.prior is not None:
        from limner.matching.damsm.scorer import DamsmScorer
        from limner.matching.prior_stage import PriorStage

        scorer = DamsmScorer(config.damsm, components, name="this run's own")
        return PriorStage(config.prior, scorer.captions, corpus, seed, image_size=config.damsm.image_size)
    raise LimnerError(f"AttnGAN has no stage {name!r} here; it has {', '.join(stage_names(config))}.")


def stage_settings(config: AttnGanConfig, name: str) -> tuple[Any, ...]:
    """The parts of the configuration that a stage is trained by."""
    return {"damsm": (config.damsm,), "gan": (config.gan,), "prior": (config.prior,)}[name]


def build_painter(config: AttnGanConfig, components: Components) -> AttnGanPainter:
    """The painter of trained components."""
    from limner.systems.attngan.painter import AttnGanPainter

    return AttnGanPainter(config, components)


SYSTEM = System(
    name="attngan",
    title="AttnGAN with DAMSM: every region looks up its own words (Xu et al. 2018)",
    config_type=AttnGanConfig,
    presets=PRESETS,
    stage_names=stage_names,
    build_stage=build_stage,
    build_painter=build_painter,
    stage_settings=stage_settings,
    debug=debug_form,
    painting_stages=("gan",),
    inputs={**BLEND_INPUTS, **COMPLETE_INPUTS, "temperature": TEMPERATURE_INPUT},
)
