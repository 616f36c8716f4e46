"""The presets of alignDRAW and DRAW: complete configurations by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from limner.systems.aligndraw.config import AlignDrawConfig, CaptionConfig, DrawingConfig, SharpeningConfig
from limner.training.schedule import Schedule

_COCO_IMAGES = 82_783


def aligndraw_digits() -> AlignDrawConfig:
    """alignDRAW on the data set digits, with the sizes of the authors' script: 60 x 60 grey, 32 steps, 2.4 million
    weights. Captions have 11 words (the full stop is not read)."""
    return AlignDrawConfig(
        drawing=DrawingConfig(schedule=Schedule(images=1_500_000, tick=10_000), image_size=60, channels=1,
                              first_canvas=-10.0),
        captions=CaptionConfig(length=12),
    )


def aligndraw_digits_quick() -> AlignDrawConfig:
    """alignDRAW on the data set digits for one processor core: fewer and larger strokes (10 steps, windows of 12 x 12
    that choose among places), the words' own vectors, smaller networks, scaled first weights, Adam, and latent numbers
    that are dear, most of all at first."""
    return AlignDrawConfig(
        drawing=DrawingConfig(
            schedule=Schedule(images=800_000, tick=20_000, average_half_life=5_000, best="bound"), image_size=60,
            channels=1, steps=10, encoder=256, decoder=256, latent=64, read_size=12, write_size=12, write_places=7,
            write_side=0.4, first_canvas=-10.0, batch_size=50, first_weights="scaled", optimiser="adam",
            learning_rate=2e-3, divergence_weight=4.0, divergence_until=0.45, divergence_end=1.5,
            drop_from=1.0),
        captions=CaptionConfig(length=12, alignment=128, values="words"),
        temperature=0.5,
    )


def aligndraw_coco() -> AlignDrawConfig:
    """alignDRAW on MS-COCO, with the sizes of the authors' script: 32 x 32 colour, 32 steps, and sharpening."""
    return AlignDrawConfig(
        drawing=DrawingConfig(schedule=Schedule(images=18 * _COCO_IMAGES, tick=_COCO_IMAGES // 2), image_size=32,
                              encoder=550, decoder=550, latent=275, read_size=9, write_size=9, drop_from=0.61),
        captions=CaptionConfig(),
        sharpening=SharpeningConfig(schedule=Schedule(images=10 * _COCO_IMAGES, tick=_COCO_IMAGES // 2)),
    )


def aligndraw_shapes() -> AlignDrawConfig:
    """A smaller alignDRAW on the data set shapes: 32 x 32 colour, 16 steps."""
    return AlignDrawConfig(
        drawing=DrawingConfig(schedule=Schedule(images=800_000, tick=10_000), image_size=32, steps=16, encoder=256,
                              decoder=256, latent=64, batch_size=64),
        captions=CaptionConfig(units=64, alignment=128),
    )


def aligndraw_faces() -> AlignDrawConfig:
    """alignDRAW on drawn faces (examples/faces), 64 x 64 colour, with what helped it on digits on one core: 12 strokes,
    scaled first weights, Adam, latent numbers that are dear; then sharpened."""
    quick = aligndraw_digits_quick()
    return replace(
        quick,
        drawing=replace(quick.drawing, schedule=Schedule(images=570_000, tick=10_000, average_half_life=5_000),
                        image_size=64, channels=3, steps=12, write_size=16, write_side=0.5, first_canvas=0.0),
        captions=CaptionConfig(length=40, alignment=128),
        sharpening=SharpeningConfig(schedule=Schedule(images=100_000, tick=10_000)),
    )


def draw_digits() -> AlignDrawConfig:
    """DRAW without captions, with the sizes of the authors' script, on the canvases of the data set digits."""
    return AlignDrawConfig(
        drawing=DrawingConfig(schedule=Schedule(images=1_500_000, tick=10_000), image_size=60, channels=1, steps=64,
                              encoder=256, decoder=256, latent=100, read_size=5, write_size=5, first_canvas=-10.0),
        captions=None,
    )


def aligndraw_debug() -> AlignDrawConfig:
    """The smallest form that runs through the drawing stage, in seconds."""
    return debug_form(aligndraw_digits())


def debug_form(config: AlignDrawConfig) -> AlignDrawConfig:
    """The same structure (stages, windows, captions) with a tiny canvas, tiny networks and short schedules."""
    drawing = config.drawing
    small = replace(drawing, schedule=_debug_schedule(drawing.schedule), image_size=16, steps=3, encoder=8, decoder=8,
                    latent=4, read_size=min(drawing.read_size, 3), write_size=min(drawing.write_size, 3), batch_size=8)
    captions = config.captions and replace(config.captions, units=4, alignment=8)
    sharpening = config.sharpening and replace(config.sharpening, width=4, batch_size=8,
                                               schedule=_debug_schedule(config.sharpening.schedule))
    return replace(config, drawing=small, captions=captions, sharpening=sharpening)


def _debug_schedule(schedule: Schedule) -> Schedule:
    return replace(schedule, images=64, tick=32, average_half_life=32 if schedule.average_half_life else 0)


PRESETS: dict[str, Callable[[], AlignDrawConfig]] = {
    "aligndraw-digits": aligndraw_digits,
    "aligndraw-digits-quick": aligndraw_digits_quick,
    "aligndraw-coco": aligndraw_coco,
    "aligndraw-shapes": aligndraw_shapes,
    "aligndraw-faces": aligndraw_faces,
    "draw-digits": draw_digits,
    "aligndraw-debug": aligndraw_debug,
}
