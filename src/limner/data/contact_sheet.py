"""A contact sheet: pictures with their captions, boxes and key points, to see at a glance what a folder holds."""

from __future__ import annotations

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from limner.data.decoding import decode_picture
from limner.data.folder import read_folder
from limner.data.record import Record
from limner.errors import LimnerError
from limner.files import written_atomically
from limner.randomness import stream

_MARGIN = 8
_LINES = 3
_BOX = (230, 60, 40)
_OBJECT = (40, 120, 220)
_POINT = (250, 220, 60)


def contact_sheet(folder: str | Path, *, columns: int = 8, rows: int = 6, cell: int = 160,
                  seed: int = 0) -> Image.Image:
    """An RGB picture of ``columns`` x ``rows`` pictures drawn at random, each with its first caption below.

    The box is red, boxes of objects blue, visible key points yellow. Broken pictures show their fault.
    """
    found = read_folder(folder)
    if not found.records:
        raise LimnerError(f"{folder} has no picture to show.")
    count = min(columns * rows, len(found.records))
    chosen = stream(seed, "contact_sheet").permutation(len(found.records))[:count]
    letter_height = max(10, cell // 14)
    font = ImageFont.load_default(size=letter_height)
    line = int(letter_height * 1.25)
    width, height = cell + _MARGIN, cell + _LINES * line + 2 * _MARGIN
    columns = min(columns, count)
    sheet = Image.new("RGB", (columns * width + _MARGIN, -(-count // columns) * height + _MARGIN), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(sorted(chosen)):
        record = found.records[index]
        left, top = _MARGIN + place % columns * width, _MARGIN + place // columns * height
        draw.rectangle((left, top, left + cell - 1, top + cell - 1), fill=(238, 238, 238))
        try:
            picture = _framed(found.root, record, cell)
            sheet.paste(picture, (left + (cell - picture.width) // 2, top + (cell - picture.height) // 2))
        except LimnerError:
            draw.text((left + 4, top + cell // 2), "cannot be decoded", fill=_BOX, font=font)
        letters = max(8, int(cell / font.getlength("n")))
        text = record.captions[0][:letters * _LINES * 2].encode("latin-1", "replace").decode("latin-1")
        for number, part in enumerate(textwrap.wrap(text, letters, max_lines=_LINES, placeholder=" ...")):
            draw.text((left, top + cell + 2 + number * line), part, fill=(30, 30, 30), font=font)
    return sheet


def save_contact_sheet(folder: str | Path, out: Path, **options: int) -> None:
    """Writes the contact sheet as PNG."""
    sheet = contact_sheet(folder, **options)
    with written_atomically(Path(out)) as temporary:
        sheet.save(temporary, format="PNG")


def _framed(root: Path, record: Record, cell: int) -> Image.Image:
    """The picture within cell x cell pixels, with what is known of it drawn in."""
    image = decode_picture(root / record.file_name)
    scale = min(cell / image.width, cell / image.height)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))),
                         Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for item in record.objects or ():
        draw.rectangle(_corners(item["bbox"], scale), outline=_OBJECT)
    if record.bbox is not None:
        draw.rectangle(_corners(record.bbox, scale), outline=_BOX, width=2)
    radius = max(2, cell // 64)
    for x, y, visible in record.keypoints or ():
        if visible:
            x, y = x * scale, y * scale
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_POINT, outline=(0, 0, 0))
    return image


def _corners(box: tuple[float, float, float, float], scale: float) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x * scale, y * scale, (x + width) * scale, (y + height) * scale
