"""The presets of GAN-CLS: complete configurations by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from limner.matching.config import MatchingConfig, PriorConfig
from limner.systems.gan_cls.config import GanClsConfig, ImprovedGan, PaperGan
from limner.text.config import PUBLISHED, TextEncoderConfig
from limner.training.schedule import Schedule
from limner.vision.config import ImageEncoderConfig

_BIRD_IMAGES, _FLOWER_IMAGES, _COCO_IMAGES = 8_855, 7_034, 82_783


def _paper_matching(encoder: str, images: int) -> MatchingConfig:
    """The recipe of the released encoders; the pictures are read by a small network instead of GoogLeNet."""
    return MatchingConfig(text=PUBLISHED[encoder], schedule=Schedule(images=images, tick=40_000), batch_size=40,
                          scale_size=76, flip=True, recipe="paper", learning_rate=7e-4)


def gan_cls_birds() -> GanClsConfig:
    """GAN-INT-CLS on birds as the authors' script trains it: ngf 128, ndf 64, 600 epochs."""
    return GanClsConfig(
        matching=_paper_matching("icml2016-birds", 40 * 30_000),
        gan=PaperGan(schedule=Schedule(images=600 * _BIRD_IMAGES, tick=10 * _BIRD_IMAGES)),
    )


def gan_cls_flowers() -> GanClsConfig:
    """GAN-INT-CLS on flowers as the authors' script trains it."""
    return GanClsConfig(
        matching=_paper_matching("icml2016-flowers", 40 * 16_400),
        gan=PaperGan(schedule=Schedule(images=600 * _FLOWER_IMAGES, tick=10 * _FLOWER_IMAGES)),
    )


def gan_cls_coco() -> GanClsConfig:
    """GAN-CLS on COCO as the authors' other script trains it: ngf and ndf 196, no interpolation, 200 epochs."""
    return GanClsConfig(
        matching=_paper_matching("icml2016-coco", 64 * 100_000),
        gan=PaperGan(
            schedule=Schedule(images=200 * _COCO_IMAGES, tick=_COCO_IMAGES), script="main_cls", generator_width=196,
            discriminator_width=196, interp_weight=0.0, captions=3, captions_with_replacement=False,
            balance_classes=False, halve_every=40,
        ),
    )


def _small_text() -> TextEncoderConfig:
    return TextEncoderConfig(architecture="word-gru", widths=(128, 256), length=30, embedding=256)


def gan_cls_small() -> GanClsConfig:
    """Improved GAN-CLS for captioned pictures of one's own, small, 64 px."""
    return GanClsConfig(
        matching=MatchingConfig(text=_small_text(), schedule=Schedule(images=400_000, tick=20_000, best="top1"),
                                scale_size=72, flip=True, batch_size=64, min_count=2),
        gan=ImprovedGan(schedule=Schedule(images=1_000_000, tick=20_000, average_half_life=20_000), noise_size=100,
                        scale_size=72, flip=True, augment="translation", variety_weight=1.0, close_wrong_share=0.5,
                        generator_rate=3e-4, discriminator_rate=6e-4),
    )


def shapes_gan_cls() -> GanClsConfig:
    """A bundled painter: improved GAN-CLS on the data set shapes, for a GPU (minutes) or two hours of a processor
    core."""
    return GanClsConfig(
        matching=MatchingConfig(text=_small_text(), schedule=Schedule(images=200_000, tick=10_000), batch_size=64,
                                image=ImageEncoderConfig(width=32)),
        gan=ImprovedGan(schedule=Schedule(images=600_000, tick=20_000, average_half_life=10_000), generator_width=22,
                        discriminator_width=48, variety_weight=5.0, variety_goal=0.25, close_wrong_share=0.75,
                        gradient_penalty=0.01),
    )


def faces_gan_cls() -> GanClsConfig:
    """A bundled painter of drawn faces (examples/faces): as shapes-gan-cls, with four wrong captions for every
    picture, and a prior that completes short captions."""
    return GanClsConfig(
        matching=MatchingConfig(text=replace(_small_text(), length=40), schedule=Schedule(images=150_000, tick=10_000),
                                batch_size=64, image=ImageEncoderConfig(width=24)),
        gan=ImprovedGan(schedule=Schedule(images=300_000, tick=10_000, average_half_life=10_000), generator_width=24,
                        discriminator_width=48, variety_weight=5.0, variety_goal=0.25, close_wrong_share=0.75,
                        wrong_captions=4, gradient_penalty=0.01),
        prior=PriorConfig(schedule=Schedule(images=4_000_000, tick=400_000, average_half_life=100_000)),
    )


def shapes_gan_cls_paper() -> GanClsConfig:
    """The authors' networks and losses at a quarter of their width on the data set shapes, for comparison."""
    return GanClsConfig(
        matching=shapes_gan_cls().matching,
        gan=PaperGan(schedule=Schedule(images=600_000, tick=10_000), generator_width=32, discriminator_width=32,
                     captions=1, balance_classes=False, scale_size=0, flip=False, halve_every=1000),
    )


def gan_cls_debug() -> GanClsConfig:
    """The smallest improved form that runs through every stage, in seconds."""
    return debug_form(shapes_gan_cls())


def gan_cls_paper_debug() -> GanClsConfig:
    """The authors' networks, tiny, for tests."""
    return debug_form(gan_cls_birds())


def debug_form(config: GanClsConfig) -> GanClsConfig:
    """The same structure (stages, architectures, options of the losses) with tiny networks and schedules."""
    text = replace(config.matching.text, widths=(8,) * len(config.matching.text.widths), embedding=16)
    matching = replace(config.matching, text=text, image=replace(config.matching.image, width=4), batch_size=8,
                       schedule=_debug_schedule(config.matching.schedule))
    common: dict[str, Any] = {"schedule": _debug_schedule(config.gan.schedule), "noise_size": 4, "generator_width": 4,
                              "discriminator_width": 4, "batch_size": 8}
    if isinstance(config.gan, PaperGan):
        gan: PaperGan | ImprovedGan = replace(config.gan, text_projection=4, **common)
    else:
        gan = replace(config.gan, condition_size=8, **common)
    style = config.style and replace(config.style, width=4, batch_size=8,
                                     schedule=_debug_schedule(config.style.schedule))
    prior = config.prior and replace(config.prior, width=8, blocks=1, batch_size=8, steps=2,
                                     schedule=_debug_schedule(config.prior.schedule))
    return GanClsConfig(matching=matching, gan=gan, style=style, prior=prior)


def _debug_schedule(schedule: Schedule) -> Schedule:
    return replace(schedule, images=64, tick=32, average_half_life=32 if schedule.average_half_life else 0)


PRESETS: dict[str, Callable[[], GanClsConfig]] = {
    "gan-cls-small": gan_cls_small,
    "gan-cls-birds": gan_cls_birds,
    "gan-cls-flowers": gan_cls_flowers,
    "gan-cls-coco": gan_cls_coco,
    "shapes-gan-cls": shapes_gan_cls,
    "faces-gan-cls": faces_gan_cls,
    "shapes-gan-cls-paper": shapes_gan_cls_paper,
    "gan-cls-debug": gan_cls_debug,
    "gan-cls-paper-debug": gan_cls_paper_debug,
}
