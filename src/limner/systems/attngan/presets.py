"""The presets of AttnGAN: complete configurations by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from limner.matching.config import PriorConfig
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText
from limner.systems.attngan.config import AttnGanConfig, GanConfig
from limner.training.schedule import Schedule

_BIRD_IMAGES, _COCO_IMAGES = 8_855, 82_783


def _official(images: int, *, length: int, flip: bool = True, epochs: int) -> DamsmConfig:
    """DAMSM as the authors' files train it."""
    return DamsmConfig(
        schedule=Schedule(images=epochs * images, tick=5 * images),
        text=DamsmText(length=length, ascii=True, all_splits=True),
        image=DamsmImage(architecture="inception", align_corners=True),
        image_size=299, scale_size=355, flip=flip, batch_size=48, recipe="paper",
    )


def _official_schedule(images: int, *, epochs: int, batch_size: int) -> Schedule:
    """The weights' average keeps 0.999 of itself at every step, from the first on."""
    return Schedule(images=epochs * images, tick=5 * images, average_half_life=round(692.8 * batch_size),
                    average_warmup=1e9)


def attngan_birds() -> AttnGanConfig:
    """AttnGAN on birds as the authors' files train it: 64, 128 and 256 px, ngf 32, ndf 64, lambda 5, 600 epochs."""
    return AttnGanConfig(
        damsm=_official(_BIRD_IMAGES, length=18, epochs=200),
        gan=GanConfig(schedule=_official_schedule(_BIRD_IMAGES, epochs=600, batch_size=20), scale_size=304, flip=True,
                      official_mask=True, average_buffers=False),
    )


def attngan_coco() -> AttnGanConfig:
    """AttnGAN on COCO as the authors' files train it: ngf 48, ndf 96, three residual blocks, lambda 50, 120 epochs."""
    return AttnGanConfig(
        damsm=_official(_COCO_IMAGES, length=15, epochs=100),
        gan=GanConfig(schedule=_official_schedule(_COCO_IMAGES, epochs=120, batch_size=14), scale_size=304, flip=True,
                      batch_size=14, generator_width=48, discriminator_width=96, residual_blocks=3, length=12,
                      matching_weight=50.0, official_mask=True, average_buffers=False),
    )


def attngan_birds_64() -> AttnGanConfig:
    """AttnGAN for small machines and photographs of one's own: 32 and 64 px, with our changes as attngan-faces has
    them, with mirrored, cropped and shifted pictures, more of DAMSM's losses, and lower rates."""
    damsm, gan = _small_damsm(), _improved()
    return AttnGanConfig(
        damsm=replace(damsm, schedule=Schedule(images=200_000, tick=20_000, best="r_precision"),
                      text=DamsmText(word_size=128, min_count=2, dropout=0.25, sentence="mean"), image=DamsmImage(),
                      scale_size=72, flip=True, mask_classes=True),
        gan=replace(gan, schedule=Schedule(images=370_000, tick=20_000, average_half_life=20_000), length=18,
                    noise_size=100, scale_size=72, flip=True, augment="translation", discriminator_width=48,
                    matching_weight=1.0, wrong_captions=1, generator_rate=5e-4, discriminator_rate=5e-4),
    )


def attngan_shapes() -> AttnGanConfig:
    """AttnGAN on the data set shapes, with one thing or several: 32 and 64 px; a generator that hears the caption at
    every layer and whose places ask the words several questions; GAN-CLS's discriminators, which see through DAMSM's
    image encoder, with its hinge loss, rates and close wrong captions, and penalties on painted pictures too; that of
    64 px judges every word, in place of DAMSM's loss; pictures are restored and paintings scored against pictures,
    which brings the variety; a DAMSM whose image encoder also learns to name."""
    damsm, gan = _small_damsm(), _improved()
    return AttnGanConfig(
        damsm=replace(damsm, naming_weight=1.0),
        gan=replace(gan, schedule=replace(gan.schedule, images=540_000), generator_width=32, residual_blocks=0,
                    word_heads=4, judged_heads=4, matching_weight=0.0, variety_weight=0.0, energy_weight=16.0,
                    reconstruction_weight=10.0, recognition_weight=1e-2, first_deviation=0.05, gradient_penalty=0.1,
                    painted_penalty=0.1),
        temperature=0.7,
    )


def attngan_shapes_paper() -> AttnGanConfig:
    """The authors' networks, losses and rates at 32 and 64 px on the data set shapes, with the small image encoder,
    words of 64 numbers and half of the discriminators' width, for comparison."""
    damsm = _small_damsm()
    damsm = replace(damsm, schedule=replace(damsm.schedule, images=150_000), text=DamsmText(word_size=64, length=30))
    return AttnGanConfig(damsm=damsm, gan=GanConfig(
        schedule=replace(_improved().schedule, average_warmup=1e9), stages=2, base_size=32, discriminator_width=32,
        length=30, batch_size=32, official_mask=True, average_buffers=False))


def attngan_faces() -> AttnGanConfig:
    """The default painter, of drawn faces (examples/faces): 32 and 64 px, with our changes but those that only
    attngan-shapes has, words that occur at least twice, longer captions, and a prior that completes short ones."""
    damsm, gan = _small_damsm(), _improved()
    return AttnGanConfig(
        damsm=replace(damsm, schedule=replace(damsm.schedule, images=150_000),
                      text=replace(damsm.text, min_count=2, length=40)),
        gan=replace(gan, schedule=replace(gan.schedule, images=300_000), length=40, generator_width=32,
                    discriminator_width=48),
        prior=PriorConfig(schedule=Schedule(images=4_000_000, tick=400_000, average_half_life=100_000)),
    )


def _small_damsm() -> DamsmConfig:
    """A DAMSM for 64 px whose sentences are the means of their words."""
    return DamsmConfig(
        schedule=Schedule(images=80_000, tick=10_000, best="r_precision"), learning_rate=1e-3,
        text=DamsmText(word_size=64, length=30, dropout=0.0, sentence="mean"), image=DamsmImage(width=32),
        mask_classes=False)


def _improved() -> GanConfig:
    """32 and 64 px; a generator that hears the caption at every layer; GAN-CLS's discriminators, which see through
    DAMSM's image encoder, with its hinge loss, rates, close wrong captions and gradient penalty; a tenth of the
    authors' weight of DAMSM's losses; variety from noise; no mirroring, cropping or augmentation."""
    return GanConfig(
        schedule=Schedule(images=360_000, tick=10_000, average_half_life=10_000), stages=2, base_size=32, length=30,
        batch_size=32, discriminator_width=32, discriminator="matching", wrong_captions=4, close_wrong_share=0.75,
        variety_weight=2.0, generator_rate=1e-3, discriminator_rate=1e-3, decay_from=0.5, generator_width=24,
        modulated=True, loss="hinge", matching_weight=0.5, kl_weight=0.01, whitened=True, encoder_maps=True,
        gradient_penalty=0.01, second_beta=0.99, first_deviation=0.25)


def attngan_debug() -> AttnGanConfig:
    """The smallest form that runs through both stages, in seconds."""
    return debug_form(attngan_shapes())


def attngan_paper_debug() -> AttnGanConfig:
    """The authors' structure, tiny, with the small image encoder in place of Inception-v3."""
    return debug_form(attngan_birds())


def debug_form(config: AttnGanConfig) -> AttnGanConfig:
    """The same structure with tiny networks and schedules and 64 px. The small image encoder takes the place of
    Inception-v3, whose weights nobody needs for a trial."""
    damsm = replace(
        config.damsm, schedule=_debug_schedule(config.damsm.schedule), embedding=16, batch_size=8, image_size=64,
        scale_size=_debug_scale(config.damsm.scale_size), text=replace(config.damsm.text, word_size=8),
        image=DamsmImage(width=4),
    )
    gan = replace(
        config.gan, schedule=_debug_schedule(config.gan.schedule), base_size=128 >> config.gan.stages, noise_size=4,
        condition_size=4, generator_width=4, discriminator_width=4, recognition_width=4, batch_size=8,
        residual_blocks=min(1, config.gan.residual_blocks), scale_size=_debug_scale(config.gan.scale_size),
    )
    prior = config.prior and replace(config.prior, width=8, blocks=1, batch_size=8, steps=2,
                                     schedule=_debug_schedule(config.prior.schedule))
    return AttnGanConfig(damsm=damsm, gan=gan, prior=prior)


def _debug_schedule(schedule: Schedule) -> Schedule:
    return replace(schedule, images=48, tick=24, average_half_life=min(schedule.average_half_life, 24))


def _debug_scale(scale_size: int) -> int:
    return 72 if scale_size else 0


PRESETS: dict[str, Callable[[], AttnGanConfig]] = {
    "attngan-birds-64": attngan_birds_64,
    "attngan-birds": attngan_birds,
    "attngan-coco": attngan_coco,
    "attngan-shapes": attngan_shapes,
    "attngan-shapes-paper": attngan_shapes_paper,
    "attngan-faces": attngan_faces,
    "attngan-debug": attngan_debug,
    "attngan-paper-debug": attngan_paper_debug,
}
"""Name -> configuration; the first is the default of the system."""
