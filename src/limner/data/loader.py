"""Batches without state: a batch is a function of (seed, step, rank, world size) and of the plan."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limner.data.batch import Batch, BatchPlan
from limner.data.pictures import PictureSet
from limner.errors import LimnerError
from limner.randomness import stream


@dataclass(frozen=True)
class _Window:
    """Where each row is cut out of its cached picture, and whether it is mirrored."""

    tops: np.ndarray
    lefts: np.ndarray
    flips: np.ndarray

    def rows(self, share: slice) -> _Window:
        return _Window(self.tops[share], self.lefts[share], self.flips[share])


class Loader:
    """Makes the batches of one stage.

    The rows of process ``rank`` of ``world_size`` are a slice of the batch that one process alone would get. Without
    class balancing the pictures come in passes, each in a fresh order; passes follow each other without a gap, so a
    batch may hold the end of one and the start of the next (and a picture twice where there are few).
    """

    def __init__(self, pictures: PictureSet, plan: BatchPlan, seed: int, *, rank: int = 0,
                 world_size: int = 1) -> None:
        if len(pictures) == 0:
            raise LimnerError("there are no pictures to make batches of.")
        if plan.batch_size % (world_size * plan.rows_together):
            raise LimnerError(f"batch_size {plan.batch_size} cannot be shared by {world_size} processes; "
                              f"give a multiple of {world_size * plan.rows_together}.")
        self.pictures = pictures
        self.plan = plan
        self.seed = seed
        share = plan.batch_size // world_size
        self._share = slice(rank * share, (rank + 1) * share)
        self._orders: dict[int, np.ndarray] = {}
        self._classes = _Classes(pictures.labels) if pictures.labels is not None else None
        self._check()
        self._pixels = pictures.pixels(plan.cache_size)
        self._boxes = pictures.boxes
        self._keypoints = pictures.keypoints
        self._mirrored_points = _mirrored(pictures.keypoint_names, self._keypoints)
        self._caption_counts = np.diff(pictures.caption_ranges, axis=1)[:, 0]

    def batch(self, step: int) -> Batch:
        """This process' share of the batch of a step (0, 1, 2 ...)."""
        plan, share = self.plan, self._share
        chosen = self._choose(step)
        captions = self._choose_captions(chosen, step)[share]
        wrong = self._choose_wrong(chosen, step)[share] if plan.wrong_images else None
        chosen = chosen[share]
        window = self._window("image", step).rows(share)
        labels = self.pictures.labels
        return Batch(
            indices=torch.from_numpy(chosen),
            images=self._cut(chosen, window),
            captions=torch.from_numpy(captions),
            labels=None if labels is None else torch.from_numpy(labels[chosen]),
            wrong_images=None if wrong is None else self._cut(wrong, self._window("wrong", step).rows(share)),
            boxes=None if self._boxes is None else torch.from_numpy(self._move_boxes(self._boxes[chosen], window)),
            keypoints=None if self._keypoints is None else torch.from_numpy(
                self._move_keypoints(self._keypoints[chosen], window)),
        )

    def _check(self) -> None:
        plan = self.plan
        classes = 0 if self._classes is None else len(self._classes)
        for asked, name in ((plan.balance_classes, "balance_classes"), (plan.distinct_classes, "distinct_classes")):
            if asked and classes == 0:
                raise LimnerError(f"{name} needs classes, but the pictures have no labels. "
                                  "Give every picture a label, or choose a preset that needs none.")
        if plan.distinct_classes and classes < plan.batch_size:
            raise LimnerError(f"a batch of {plan.batch_size} pictures of different classes was asked for, but there "
                              f"are {classes} classes. Set batch_size to at most {classes}.")
        if plan.wrong_images and (classes == 1 or len(self.pictures) == 1):
            what = "picture" if len(self.pictures) == 1 else "class"
            raise LimnerError(f"the matching-aware loss needs pictures of another class, but there is only one {what}. "
                              "Give the pictures at least two labels, or leave the labels out: then any other picture "
                              "serves.")

    def _stream(self, purpose: str, *index: int) -> np.random.Generator:
        return stream(self.seed, f"loader.{purpose}", *index)

    def _choose(self, step: int) -> np.ndarray:
        """int64 (batch_size,): the pictures of the whole batch."""
        size = self.plan.batch_size
        if self.plan.distinct_classes or self.plan.balance_classes:
            assert self._classes is not None
            random = self._stream("classes", step)
            if self.plan.distinct_classes:
                classes = random.permutation(len(self._classes))[:size]
            else:
                classes = random.integers(len(self._classes), size=size)
            return self._classes.draw(classes, random)
        positions = step * size + np.arange(size)
        epochs, places = np.divmod(positions, len(self.pictures))
        chosen = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            mask = epochs == epoch
            chosen[mask] = self._order(int(epoch))[places[mask]]
        return chosen

    def _order(self, epoch: int) -> np.ndarray:
        order = self._orders.get(epoch)
        if order is None:
            order = self._stream("order", epoch).permutation(len(self.pictures))
            self._orders = {epoch: order} | {old: kept for old, kept in self._orders.items() if old == epoch - 1}
        return order

    def _choose_captions(self, chosen: np.ndarray, step: int) -> np.ndarray:
        """int64 (batch_size, K): flat caption indices."""
        count = self.plan.captions_per_image
        random = self._stream("captions", step)
        available = self._caption_counts[chosen][:, None]
        drawn = (random.random((len(chosen), count)) * available).astype(np.int64)
        if not self.plan.captions_with_replacement:
            # the first K of a random order; where a picture has fewer than K, the rest stays drawn with replacement
            keys = random.random((len(chosen), int(self._caption_counts.max())))
            keys[np.arange(keys.shape[1]) >= available] = 2.0
            order = np.argsort(keys, axis=1)[:, :count]
            real = np.arange(order.shape[1]) < available
            drawn[:, :order.shape[1]] = np.where(real, order, drawn[:, :order.shape[1]])
        return self.pictures.caption_ranges[chosen, 0][:, None] + drawn

    def _choose_wrong(self, chosen: np.ndarray, step: int) -> np.ndarray:
        """int64 (batch_size,): a picture of another class (drawn uniformly) for every row."""
        random = self._stream("wrong", step)
        if self._classes is None:
            drawn = random.integers(len(self.pictures) - 1, size=len(chosen))
            return drawn + (drawn >= chosen)
        own = self._classes.class_of[chosen]
        drawn = random.integers(len(self._classes) - 1, size=len(chosen))
        return self._classes.draw(drawn + (drawn >= own), random)

    def _window(self, what: str, step: int) -> _Window:
        plan, size = self.plan, self.plan.batch_size
        random = self._stream(f"{what}.window", step)
        if plan.scale_size:
            tops, lefts = random.integers(plan.crop_offset_low, plan.scale_size - plan.image_size, size=(2, size),
                                          endpoint=True)
        else:
            tops = lefts = np.zeros(size, np.int64)
        flips = random.random(size) < 0.5 if plan.flip else np.zeros(size, bool)
        return _Window(tops, lefts, flips)

    def _cut(self, chosen: np.ndarray, window: _Window) -> Tensor:
        """uint8 (B, 3, S, S), channels-last in memory."""
        side, pixels = self.plan.image_size, self._pixels
        room = pixels.shape[1] - side + 1
        if room == 1:
            cut = pixels[chosen]
        else:
            # every possible crop as a view, so that one indexing copies whole rows of pixels
            by_picture, by_row, by_pixel, _ = pixels.strides
            crops = np.lib.stride_tricks.as_strided(
                pixels, (len(pixels), room, room, side, side * 3), (by_picture, by_row, by_pixel, by_row, 1),
                writeable=False)
            cut = np.ascontiguousarray(crops[chosen, window.tops, window.lefts]).reshape(-1, side, side, 3)
        flips = np.flatnonzero(window.flips)
        if len(flips):
            rows = cut[flips]
            mirrored = np.empty_like(rows)
            for channel in range(3):  # five times as fast as mirroring whole pixels, which are not of a power of two
                mirrored[..., channel] = rows[:, :, ::-1, channel]
            cut[flips] = mirrored
        return torch.from_numpy(np.asarray(cut)).permute(0, 3, 1, 2)

    def _move(self, points: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Fractions of the whole picture to fractions of the crop, along one axis."""
        return (points * self.plan.cache_size - starts) / self.plan.image_size

    def _move_boxes(self, boxes: np.ndarray, window: _Window) -> np.ndarray:
        scale = self.plan.cache_size / self.plan.image_size
        left = self._move(boxes[:, 0], window.lefts)
        width, height = boxes[:, 2] * scale, boxes[:, 3] * scale
        left = np.where(window.flips, 1 - left - width, left)
        return np.stack([left, self._move(boxes[:, 1], window.tops), width, height], axis=1).astype(np.float32)

    def _move_keypoints(self, points: np.ndarray, window: _Window) -> np.ndarray:
        flips = window.flips[:, None]
        points = np.where(flips[:, :, None], points[:, self._mirrored_points], points)
        x = self._move(points[:, :, 0], window.lefts[:, None])
        x = np.where(flips, 1 - x, x)
        y = self._move(points[:, :, 1], window.tops[:, None])
        visible = points[:, :, 2] * ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1))
        return (np.stack([x, y, np.ones_like(x)], axis=2) * visible[:, :, None]).astype(np.float32)


class _Classes:
    """The pictures of each class that occurs."""

    def __init__(self, labels: np.ndarray) -> None:
        _, self.class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._pictures = np.argsort(self.class_of, kind="stable")
        self._counts = counts
        self._starts = np.cumsum(counts) - counts

    def __len__(self) -> int:
        return len(self._counts)

    def draw(self, classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """One picture of each given class, uniformly."""
        within = (random.random(len(classes)) * self._counts[classes]).astype(np.int64)
        return self._pictures[self._starts[classes] + within]


def _mirrored(names: list[str], keypoints: np.ndarray | None) -> np.ndarray:
    """int64 (P,): which point takes the place of each point when a picture is mirrored: left for right."""
    if keypoints is None or not names:
        return np.arange(0 if keypoints is None else keypoints.shape[1])
    swapped = []
    for name in names:
        words = [{"left": "right", "right": "left"}.get(word, word) for word in name.split()]
        partner = " ".join(words)
        swapped.append(names.index(partner) if partner in names else names.index(name))
    return np.array(swapped, np.int64)


def prefetch(loader: Loader, start: int, device: torch.device | str = "cpu", *,
             depth: int = 2) -> Generator[tuple[int, Batch], None, None]:
    """Yields (step, batch on the device) from ``start`` on without end; a thread makes ``depth`` batches ahead.

    Close the generator to end the thread (a ``for`` loop over it that is left does so when it is collected).
    An error in the thread is raised here.
    """
    device = torch.device(device)
    ready: queue.Queue[tuple[int, Batch] | BaseException] = queue.Queue(maxsize=depth)
    ended = threading.Event()

    def hand_over(item: tuple[int, Batch] | BaseException) -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        step = start
        try:
            while not ended.is_set():
                batch = loader.batch(step)
                hand_over((step, _pinned(batch) if device.type == "cuda" else batch))
                step += 1
        except BaseException as error:  # handed to the reader, who raises it
            hand_over(error)

    thread = threading.Thread(target=work, name="limner-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            step, batch = item
            yield step, batch if device.type == "cpu" else batch.to(device)
    finally:
        ended.set()
        thread.join()


def _pinned(batch: Batch) -> Batch:
    return Batch(**{name: value.pin_memory() for name, value in vars(batch).items() if value is not None})
