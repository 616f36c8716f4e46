"""GAN-CLS and GAN-INT: one small network, one forward pass (Reed et al., ICML 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError
from limner.systems.gan_cls.config import GanClsConfig, ImprovedGan, PaperGan
from limner.systems.gan_cls.presets import PRESETS, debug_form
from limner.systems.inputs import BLEND_INPUTS, COMPLETE_INPUTS
from limner.systems.protocol import System

if TYPE_CHECKING:
    from limner.data.pictures import Corpus
    from limner.systems.gan_cls.painter import GanClsPainter
    from limner.training.stage import Components, Stage


def stage_names(config: GanClsConfig) -> tuple[str, ...]:
    """text-encoder, gan, and style-encoder and prior where the configuration asks for them."""
    last = (("style-encoder", config.style), ("prior", config.prior))
    return ("text-encoder", "gan", *(name for name, part in last if part is not None))


def build_stage(name: str, config: GanClsConfig, corpus: Corpus, components: Components, seed: int) -> Stage:
    """A stage with fresh networks. Raises LimnerError for a name that is none of ``stage_names``."""
    if name == "text-encoder":
        from limner.matching.stage import MatchingStage

        return MatchingStage(config.matching, corpus, seed)
    gan = config.gan
    if name == "gan" and isinstance(gan, PaperGan):
        from limner.systems.gan_cls.stages import PaperGanStage

        return PaperGanStage(config, gan, corpus, components, seed)
    if name == "gan" and isinstance(gan, ImprovedGan):
        from limner.systems.gan_cls.improved_stage import ImprovedGanStage

        return ImprovedGanStage(config, gan, corpus, components, seed)
    if name == "style-encoder" and config.style is not None:
        from limner.systems.gan_cls.stages import StyleEncoderStage

        return StyleEncoderStage(config, config.style, corpus, components, seed)
    if name == "prior" and config.prior is not None:
        from limner.matching.prior_stage import PriorStage
        from limner.matching.stage import caption_reader

        return PriorStage(config.prior, caption_reader(config.matching, components), corpus, seed,
                          image_size=config.matching.image_size)
    raise LimnerError(f"GAN-CLS has no stage {name!r} here; it has {', '.join(stage_names(config))}.")


def stage_settings(config: GanClsConfig, name: str) -> tuple[Any, ...]:
    """The parts of the configuration that a stage is trained by."""
    return {"text-encoder": (config.matching,), "gan": (config.gan,), "style-encoder": (config.style,),
            "prior": (config.prior,)}[name]


def build_painter(config: GanClsConfig, components: Components) -> GanClsPainter:
    """The painter of trained components."""
    from limner.systems.gan_cls.painter import GanClsPainter

    return GanClsPainter(config, components)


SYSTEM = System(
    name="gan-cls",
    title="GAN-CLS / GAN-INT: one small network, one forward pass; blends two sentences (Reed et al. 2016)",
    config_type=GanClsConfig,
    presets=PRESETS,
    stage_names=stage_names,
    build_stage=build_stage,
    build_painter=build_painter,
    stage_settings=stage_settings,
    debug=debug_form,
    painting_stages=("gan",),
    inputs={
        **BLEND_INPUTS,
        **COMPLETE_INPUTS,
        "style": "a picture whose style (pose, ground ...) is kept; needs a painter with a style encoder",
    },
)
