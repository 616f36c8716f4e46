"""The presets of StackGAN: complete configurations by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from limner.matching.config import MatchingConfig
from limner.systems.stackgan.config import GanTraining, Networks, StackGanConfig
from limner.text.config import PUBLISHED, TextEncoderConfig
from limner.training.schedule import Schedule
from limner.vision.config import ImageEncoderConfig

_BIRD_IMAGES, _FLOWER_IMAGES, _COCO_IMAGES = 8_855, 7_034, 82_783

TENSORFLOW = Networks(condition_activation="leaky-relu", condition_deviation="log-deviation",
                      condition_noise="truncated", noise_first=False, sketch_residual=True,
                      discriminator_residual=True, discriminator_reads="caption", joint_kernel=1, unconditional=False)
"""The TensorFlow release (birds, flowers); ``Networks()`` is the PyTorch release (COCO)."""


def _paper_text(encoder: str, images: int) -> MatchingConfig:
    """The recipe of the released encoders; the pictures are read by a small network instead of GoogLeNet."""
    return MatchingConfig(text=PUBLISHED[encoder], schedule=Schedule(images=images, tick=40_000), batch_size=40,
                          scale_size=76, flip=True, recipe="paper", learning_rate=7e-4)


def _tensorflow_training(images: int, *, halve_every: int) -> GanTraining:
    return GanTraining(schedule=Schedule(images=600 * images, tick=10 * images), halve_every=halve_every, captions=4,
                       wrong="image", fresh_noise=True)


def stackgan_birds() -> StackGanConfig:
    """StackGAN on birds as the TensorFlow release trains it: 64 then 256 pixels, 600 epochs each."""
    return StackGanConfig(
        text=_paper_text("icml2016-birds", 40 * 30_000), networks=TENSORFLOW,
        sketch=_tensorflow_training(_BIRD_IMAGES, halve_every=50),
        refinement=_tensorflow_training(_BIRD_IMAGES, halve_every=100),
    )


def stackgan_flowers() -> StackGanConfig:
    """StackGAN on flowers as the TensorFlow release trains it."""
    return StackGanConfig(
        text=_paper_text("icml2016-flowers", 40 * 16_400), networks=TENSORFLOW,
        sketch=_tensorflow_training(_FLOWER_IMAGES, halve_every=50),
        refinement=_tensorflow_training(_FLOWER_IMAGES, halve_every=100),
    )


def stackgan_coco() -> StackGanConfig:
    """StackGAN on COCO as the PyTorch release trains it: widths 192 and 96, two residual blocks, 120 epochs each."""
    schedule = Schedule(images=120 * _COCO_IMAGES, tick=_COCO_IMAGES)
    return StackGanConfig(
        text=_paper_text("icml2016-coco", 64 * 100_000),
        networks=Networks(generator_width=192, discriminator_width=96, residual_blocks=2),
        sketch=GanTraining(schedule=schedule, batch_size=128, halve_every=20),
        refinement=GanTraining(schedule=schedule, batch_size=40, halve_every=20),
    )


def stackgan_birds_64_128() -> StackGanConfig:
    """Birds (or other photographs) on small machines: 64 then 128 pixels, with our changes, mirrored and shifted
    pictures and lower rates."""
    paper = stackgan_shapes_paper()
    training = replace(paper.sketch, schedule=replace(paper.sketch.schedule, tick=20_000, average_half_life=20_000),
                       crop=True, flip=True, augment="translation")
    return _improved(
        replace(paper, text=_small_text(images=100_000, best="top1", scale_size=72, flip=True, min_count=2),
                networks=replace(paper.networks, noise_size=100), sketch=training,
                refinement=replace(training, batch_size=16)),
        sketch_images=540_000, refinement_images=120_000, learning_rate=5e-4,
    )


def stackgan_shapes() -> StackGanConfig:
    """The data set shapes, 64 then 128 pixels, with our changes to networks and training (see the documentation): here
    pictures are restored and paintings scored against pictures beside the discriminators, which brings the variety, and
    the condition has no noise."""
    text = _small_text(images=80_000, image=ImageEncoderConfig(width=32), naming_weight=1.0)
    config = _improved(replace(stackgan_shapes_paper(), text=text), sketch_images=280_000, refinement_images=16_000,
                       gradient_penalty=0.1, painted_penalty=0.1)
    return replace(
        config, networks=replace(config.networks, augmentation=False, exact_sketch=True), temperature=0.7,
        sketch=replace(config.sketch, variety_weight=0.0, energy_weight=15.0, reconstruction_weight=10.0),
        refinement=replace(
            config.refinement, reconstruction_weight=100.0, consistency_weight=0.0,
            schedule=replace(config.refinement.schedule, tick=4_000, average_half_life=3_000)),
    )


def stackgan_shapes_paper() -> StackGanConfig:
    """The same data in the same size with networks and losses of the PyTorch release, for comparison."""
    schedule = Schedule(images=400_000, tick=10_000, average_half_life=10_000)
    return StackGanConfig(
        text=_small_text(images=200_000, image=ImageEncoderConfig(width=32)),
        networks=replace(Networks(), image_size=128, condition_size=64, noise_size=32, generator_width=32,
                         discriminator_width=32, residual_blocks=2),
        sketch=GanTraining(schedule=schedule, batch_size=32, crop=False, flip=False),
        refinement=GanTraining(schedule=replace(schedule, images=100_000), batch_size=16, crop=False, flip=False),
    )


def stackgan_faces() -> StackGanConfig:
    """Drawn faces (or other clean pictures) with captions of one's own folder, 64 then 128 pixels, with our changes."""
    config = stackgan_shapes_paper()
    text = _small_text(images=150_000, image=ImageEncoderConfig(width=24))
    return _improved(replace(config, text=replace(text, text=replace(text.text, length=40))), sketch_images=300_000,
                     refinement_images=80_000, wrong_captions=4)


def _improved(config: StackGanConfig, *, sketch_images: int, refinement_images: int, **changes: Any) -> StackGanConfig:
    """What helped GAN-CLS on small machines: a wide sketch whose every layer hears noise and caption and that is
    painted twice for variety; GAN-CLS's discriminator, which sees through the frozen image encoder, its hinge loss,
    rates and gradient penalty; wrong captions that are mostly close; little noise in the condition. And a sketch that
    stands still while it is refined, is what the narrower refinement adds to, and what it is held to."""
    training: dict[str, Any] = {
        "learning_rate": 1e-3, "second_beta": 0.99, "decay_from": 0.5, "loss": "hinge", "kl_weight": 0.01,
        "gradient_penalty": 0.01, "wrong_captions": 1, "close_wrong_share": 0.75, **changes}
    return replace(
        config,
        networks=replace(config.networks, condition_size=128, generator_width=48, discriminator_width=48,
                         refinement_width=24, refinement_discriminator_width=32, modulated=True, keeps_sketch=True,
                         discriminator="matching", encoder_maps=True, whitened=True,
                         condition_activation="leaky-relu", condition_deviation="log-deviation",
                         first_deviation=0.25),
        sketch=replace(config.sketch, variety_weight=5.0, variety_goal=0.25,
                       schedule=replace(config.sketch.schedule, images=sketch_images), **training),
        refinement=replace(config.refinement, frozen_statistics=True, consistency_weight=10.0,
                           schedule=replace(config.refinement.schedule, images=refinement_images), **training),
    )


def _small_text(*, images: int, best: str = "", **changes: Any) -> MatchingConfig:
    encoder = TextEncoderConfig(architecture="word-gru", widths=(128, 256), length=30, embedding=256)
    return MatchingConfig(text=encoder, schedule=Schedule(images=images, tick=10_000, best=best), batch_size=64,
                          **changes)


def stackgan_debug() -> StackGanConfig:
    """The smallest form that runs through every stage, in seconds; with conditioning augmentation."""
    config = stackgan_shapes()
    return debug_form(replace(config, networks=replace(config.networks, augmentation=True), temperature=1.0))


def debug_form(config: StackGanConfig) -> StackGanConfig:
    """The same structure (stages, options of networks and losses) with tiny networks and schedules, 16 then 64
    pixels."""
    text = config.text
    if isinstance(text, MatchingConfig):
        encoder = replace(text.text, widths=(8,) * len(text.text.widths), embedding=16)
        text = replace(text, text=encoder, image=replace(text.image, width=4), batch_size=8, image_size=16,
                       schedule=_debug_schedule(text.schedule))
    networks = replace(config.networks, sketch_size=16, image_size=64, condition_size=8, noise_size=4,
                       generator_width=4, discriminator_width=4, refinement_width=0, refinement_discriminator_width=0,
                       recognition_width=4, residual_blocks=1)
    sketch, refinement = (replace(stage, batch_size=8, schedule=_debug_schedule(stage.schedule))
                          for stage in (config.sketch, config.refinement))
    return replace(config, text=text, networks=networks, sketch=sketch, refinement=refinement)


def _debug_schedule(schedule: Schedule) -> Schedule:
    return replace(schedule, images=64, tick=32, average_half_life=32 if schedule.average_half_life else 0)


PRESETS: dict[str, Callable[[], StackGanConfig]] = {
    "stackgan-birds-64-128": stackgan_birds_64_128,
    "stackgan-birds": stackgan_birds,
    "stackgan-flowers": stackgan_flowers,
    "stackgan-coco": stackgan_coco,
    "stackgan-shapes": stackgan_shapes,
    "stackgan-shapes-paper": stackgan_shapes_paper,
    "stackgan-faces": stackgan_faces,
    "stackgan-debug": stackgan_debug,
}
