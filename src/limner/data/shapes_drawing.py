"""Draws the scenes of the data set ``shapes`` with signed distance functions, anti-aliased, at any size.

Shapes live in the unit disc of their own coordinates (x right, y down). A signed distance function is negative
inside; near the edge it is the distance to the edge, which is all that anti-aliasing needs.
"""

from __future__ import annotations

import math

import numpy as np

from limner.data.shapes_scene import Ground, Item, Scene

COLOUR_VALUES = {
    "red": (215, 35, 40), "green": (35, 150, 60), "blue": (40, 75, 205), "yellow": (250, 220, 40),
    "purple": (125, 40, 160), "orange": (245, 130, 20), "white": (252, 252, 252), "black": (18, 18, 18),
}
"""Red, green, blue of each object colour, 0 to 255."""

GROUND_VALUES = {
    "grey": (148, 148, 148), "beige": (226, 208, 172), "turquoise": (140, 208, 212), "slate": (72, 84, 100),
}
"""Red, green, blue of each ground colour, 0 to 255."""

KEYPOINT_NAMES = ("centre", "top", "right", "bottom", "left")
"""The key points of an object: its centre and the extreme points of its outline."""

_DARK_TONE = {"yellow": 0.42, "orange": 0.42, "white": 0.25}
_LIGHT_TONE = {"red": 0.72, "green": 0.72, "blue": 0.72, "purple": 0.72, "black": 0.62}

_SQUARE = 0.84
_RING_INNER = 0.5
_ARM = (0.94, 0.34)
_DIAMOND = (0.74, 1.0)
_STAR_INNER = 0.48
_TRIANGLE = ((0.0, -1.0), (0.92, 0.72), (-0.92, 0.72))
_HEART_LOBE = 0.6
_HEART_DOWN = 0.13

_RIM = 0.1
"""Width of the plain rim that keeps the outline of a striped or dotted object whole."""

_RING_MIDDLE = (1 + _RING_INNER) / 2
_STRIPE_PITCH = 2 * math.pi * _RING_MIDDLE * math.sqrt(0.5) / 6
_DOT_PITCH = 2 * math.pi * _RING_MIDDLE / 9
_DOT_RADIUS = 0.17


def _polygon_edges(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float, float]]:
    """Outward half planes (a, b, c) with distance a x + b y - c, for a convex polygon given clockwise on screen."""
    edges = []
    for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        a, b = (y1 - y0) / length, -(x1 - x0) / length
        edges.append((a, b, a * x0 + b * y0))
    return edges


_TRIANGLE_EDGES = _polygon_edges(_TRIANGLE)
_STAR_EDGE = _polygon_edges((
    (0.0, -1.0), (_STAR_INNER * math.sin(math.pi / 5), -_STAR_INNER * math.cos(math.pi / 5)), (0.0, 0.0)
))[0]


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - _SQUARE


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    (a, b, c), *others = _TRIANGLE_EDGES
    distance = a * x + b * y - c
    for a, b, c in others:
        distance = np.maximum(distance, a * x + b * y - c)
    return distance


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # fold the plane into one tenth of the star: all five points become the upper one, and left becomes right
    angle = np.abs((np.arctan2(x, -y) + math.pi / 5) % (2 * math.pi / 5) - math.pi / 5)
    radius = np.hypot(x, y)
    a, b, c = _STAR_EDGE
    return a * radius * np.sin(angle) - b * radius * np.cos(angle) - c


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    radius = np.hypot(x, y)
    return np.maximum(radius - 1, _RING_INNER - radius)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.abs(x), np.abs(y)
    long, wide = _ARM
    return np.minimum(np.maximum(x - long, y - wide), np.maximum(x - wide, y - long))


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # a square on its corner with a half disc on each of its two upper sides
    u, v = (np.abs(x) + y - _HEART_DOWN) * math.sqrt(0.5), (np.abs(x) - y + _HEART_DOWN) * math.sqrt(0.5)
    body = np.maximum(np.abs(u), np.abs(v)) - _HEART_LOBE
    return np.minimum(body, np.hypot(u, v - _HEART_LOBE) - _HEART_LOBE)


def _diamond(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    wide, high = _DIAMOND
    return (np.abs(x) * high + np.abs(y) * wide - wide * high) / math.hypot(wide, high)


_DISTANCES = {
    "circle": _circle, "square": _square, "triangle": _triangle, "star": _star,
    "ring": _ring, "cross": _cross, "heart": _heart, "diamond": _diamond,
}


def _outlines() -> dict[str, np.ndarray]:
    """Points of each outline that hold its extremes at any small tilt, (points, 2)."""
    turn = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    disc = np.stack([np.sin(turn), -np.cos(turn)], 1)
    points = np.arange(10) * math.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 1.0, _STAR_INNER)
    long, wide = _ARM
    lobe_x = _HEART_LOBE * math.sqrt(0.5)
    lobes = [disc * _HEART_LOBE + (side * lobe_x, _HEART_DOWN - lobe_x) for side in (-1, 1)]
    corner = _HEART_LOBE * math.sqrt(2)
    return {
        "circle": disc,
        "ring": disc,
        "square": np.array([(a, b) for a in (-_SQUARE, _SQUARE) for b in (-_SQUARE, _SQUARE)]),
        "triangle": np.array(_TRIANGLE),
        "star": np.stack([np.sin(points) * reach, -np.cos(points) * reach], 1),
        "cross": np.array([(s * a, t * b) for a, b in ((long, wide), (wide, long)) for s in (-1, 1) for t in (-1, 1)]),
        "heart": np.concatenate([*lobes, [(0.0, _HEART_DOWN + corner)]]),
        "diamond": np.array([(_DIAMOND[0], 0), (-_DIAMOND[0], 0), (0, _DIAMOND[1]), (0, -_DIAMOND[1])]),
    }


_OUTLINES = _outlines()


def item_keypoints(item: Item, size: int) -> tuple[tuple[float, float, float], ...]:
    """The points of ``KEYPOINT_NAMES`` of one object as (x, y, 1.0), in pixels of a picture of ``size``."""
    cos, sin = math.cos(item.tilt), math.sin(item.tilt)
    points = _OUTLINES[item.kind.shape] @ np.array([[cos, sin], [-sin, cos]])
    points = (points * item.radius + (item.x, item.y)) * size
    x, y = points[:, 0], points[:, 1]
    extremes = points[[int(y.argmin()), int(x.argmax()), int(y.argmax()), int(x.argmin())]]
    centre = (round(item.x * size, 2), round(item.y * size, 2), 1.0)
    return (centre, *((round(float(px), 2), round(float(py), 2), 1.0) for px, py in extremes))


def box_of(points: tuple[tuple[float, float, float], ...]) -> tuple[float, float, float, float]:
    """The box (x, y, width, height) around the key points of an object: the exact box of its outline."""
    left, top = min(point[0] for point in points), min(point[1] for point in points)
    right, bottom = max(point[0] for point in points), max(point[1] for point in points)
    return left, top, round(right - left, 2), round(bottom - top, 2)


def draw_scene(scene: Scene, size: int) -> np.ndarray:
    """Draws a scene: uint8, (size, size, 3), red green blue. Each object is computed in its own box only."""
    picture = _draw_ground(scene.ground, size)
    for item in scene.items:
        _draw_item(picture, item, size)
    return np.rint(picture).astype(np.uint8)


def _draw_ground(ground: Ground, size: int) -> np.ndarray:
    base = np.array(GROUND_VALUES[ground.colour], np.float32)
    if ground.texture == "plain":
        return np.broadcast_to(base, (size, size, 3)).copy()
    along = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    if ground.texture == "shaded":
        angle = 2 * math.pi * ground.variant
        light = 1 + 0.2 * (math.cos(angle) * along[None, :] + math.sin(angle) * along[:, None])
    else:
        wave = _square_wave(along, 0.25 + 0.1 * ground.variant, size)
        light = 1 + 0.06 * wave[None, :] * wave[:, None]
    return np.minimum(base * light[:, :, None], 255)


def _square_wave(at: np.ndarray, period: float, resolution: float) -> np.ndarray:
    """An anti-aliased wave between -1 and 1 with the given period; ``resolution`` is pixels per unit."""
    from_edge = np.abs((at / period) % 1 - 0.5) - 0.25
    return np.clip(from_edge * (2 * period * resolution), -1, 1)


def _second_tone(colour: str) -> np.ndarray:
    value = np.array(COLOUR_VALUES[colour], np.float32)
    if colour in _DARK_TONE:
        return value * _DARK_TONE[colour]
    share = _LIGHT_TONE[colour]
    return value * (1 - share) + 255 * share


_TONES = {colour: (np.array(value, np.float32), _second_tone(colour)) for colour, value in COLOUR_VALUES.items()}


def _draw_item(picture: np.ndarray, item: Item, size: int) -> None:
    reach = item.radius + 1 / size
    left, right = max(int((item.x - reach) * size), 0), min(math.ceil((item.x + reach) * size), size)
    top, bottom = max(int((item.y - reach) * size), 0), min(math.ceil((item.y + reach) * size), size)
    x = ((np.arange(left, right, dtype=np.float32) + 0.5) / size - item.x)[None, :] / item.radius
    y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / size - item.y)[:, None] / item.radius
    cos, sin = math.cos(item.tilt), math.sin(item.tilt)
    x, y = x * cos + y * sin, y * cos - x * sin
    resolution = item.radius * size
    distance = _DISTANCES[item.kind.shape](x, y)
    cover = np.clip(0.5 - distance * resolution, 0, 1)[:, :, None]
    first, second = _TONES[item.kind.colour]
    paint = first
    if item.kind.texture != "plain":
        if item.kind.shape == "ring":  # a ring is painted along its band: whole numbers of stripes and dots fit around
            x, y = np.arctan2(y, x) * _RING_MIDDLE, np.hypot(x, y) - _RING_MIDDLE
        share = (_stripes if item.kind.texture == "striped" else _dots)(x, y, resolution)
        share *= np.clip(0.5 - (distance + _RIM) * resolution, 0, 1)
        paint = first + (second - first) * share[:, :, None]
    patch = picture[top:bottom, left:right]
    patch += (paint - patch) * cover


def _stripes(x: np.ndarray, y: np.ndarray, resolution: float) -> np.ndarray:
    """Share of the second tone: slanting stripes, 60 % of them the first tone."""
    across = (x + y) * math.sqrt(0.5) / _STRIPE_PITCH
    return np.clip((np.abs(across % 1 - 0.5) - 0.3) * (_STRIPE_PITCH * resolution) + 0.5, 0, 1)


def _dots(x: np.ndarray, y: np.ndarray, resolution: float) -> np.ndarray:
    """Share of the second tone: dots on a square lattice, one of them in the middle of the object."""
    x, y = (x / _DOT_PITCH + 0.5) % 1 - 0.5, (y / _DOT_PITCH + 0.5) % 1 - 0.5
    return np.clip((_DOT_RADIUS - np.hypot(x, y) * _DOT_PITCH) * resolution + 0.5, 0, 1)
