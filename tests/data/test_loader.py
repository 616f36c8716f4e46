import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.pictures_on_disk import make_folder

from limner.data.batch import BatchPlan
from limner.data.loader import Loader, prefetch
from limner.data.pictures import PictureSet, open_corpus
from limner.data.record import Record
from limner.errors import LimnerError

SIDE = 24
NAMES = ["beak", "left eye", "right eye", "left wing", "tail"]
SWAPPED = [0, 2, 1, 3, 4]  # a left wing without a right one stays


def numbered(count=12, classes=4, captions=3, side=SIDE):
    """Pictures whose every pixel holds their number."""
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, side, side, 3)).copy()
    records = [Record(f"{index}.png", tuple(f"{index} {number}" for number in range(captions)),
                      label=f"c{index % classes}" if classes else None) for index in range(count)]
    return PictureSet.from_arrays(images, records)


def marked(count=10):
    """64 x 64 pictures. Red: 255 inside the box. Green: 1 ... 5 at the key points. Blue: grows from left to right."""
    random = np.random.default_rng(0)
    images = np.zeros((count, 64, 64, 3), np.uint8)
    images[..., 2] = np.arange(64)
    records = []
    for image in images:
        x, y, width, height = (int(number) for number in random.integers((0, 0, 14, 14), (40, 40, 24, 24)))
        image[y:y + height, x:x + width, 0] = 255
        places = np.stack(np.divmod(random.permutation(64 * 64)[:len(NAMES)], 64), axis=1)
        image[places[:, 0], places[:, 1], 1] = np.arange(1, len(NAMES) + 1)
        records.append(Record(str(len(records)), ("a",), bbox=(x, y, width, height),
                              keypoints=tuple((px + 0.5, py + 0.5, 1.0) for py, px in places.tolist())))
    return PictureSet.from_arrays(images, records, info={"keypoint_names": NAMES})


def assert_equal(one, other):
    for name, value in vars(one).items():
        if value is None:
            assert getattr(other, name) is None
        else:
            assert np.array_equal(value.numpy(), getattr(other, name).numpy(), equal_nan=True), name


PLANS = [
    BatchPlan(8, SIDE),
    BatchPlan(8, 16, scale_size=SIDE, crop_offset_low=1, flip=True, captions_per_image=2, wrong_images=True),
    BatchPlan(8, SIDE, balance_classes=True, captions_with_replacement=True, captions_per_image=5),
    BatchPlan(4, SIDE, distinct_classes=True, wrong_images=True),
]


@pytest.mark.parametrize("plan", PLANS)
def test_a_batch_is_a_function_of_seed_and_step(plan):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = Loader(numbered(), plan, 5)
    forward = [first.batch(step) for step in range(6)]
    second = Loader(numbered(), plan, 5)
    for step in (5, 0, 3, 3, 1, 4, 2):
        assert_equal(second.batch(step), forward[step])
    assert any(not torch.equal(forward[step].captions, Loader(numbered(), plan, 6).batch(step).captions)
               for step in range(6))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("world_size", [2, 4])
def test_shares_of_processes_are_slices_of_the_whole_batch(plan, world_size):
    whole = Loader(numbered(), plan, 3)
    shares = [Loader(numbered(), plan, 3, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in (0, 7):
        batch, parts = whole.batch(step), [share.batch(step) for share in shares]
        for name, value in vars(batch).items():
            if value is not None:
                assert torch.equal(torch.cat([getattr(part, name) for part in parts]), value), name


@settings(max_examples=40, deadline=None)
@given(count=st.integers(2, 30), size=st.integers(1, 12), seed=st.integers(0, 2**40))
def test_every_pass_shows_every_picture_once(count, size, seed):
    loader = Loader(numbered(count, classes=0), BatchPlan(size, SIDE), seed)
    shown = torch.cat([loader.batch(step).indices for step in range(-(-3 * count // size))]).numpy()[:3 * count]
    for one_pass in shown.reshape(3, count):
        assert sorted(one_pass) == list(range(count))


def test_images_captions_and_labels_belong_together():
    pictures = numbered()
    for plan in PLANS:
        for step in range(5):
            batch = Loader(pictures, plan, 1).batch(step)
            share = plan.batch_size
            assert batch.images.shape == (share, 3, plan.image_size, plan.image_size)
            assert batch.images.dtype == torch.uint8
            assert batch.images.is_contiguous(memory_format=torch.channels_last)
            assert (batch.images == batch.indices[:, None, None, None]).all()
            assert (batch.labels == batch.indices % 4).all()
            for row, index in enumerate(batch.indices.tolist()):
                assert all(pictures.captions[caption].split()[0] == str(index) for caption in batch.captions[row])


def test_wrong_images_are_of_another_class_each_equally_often():
    loader = Loader(numbered(), BatchPlan(12, SIDE, wrong_images=True), 1)
    counts = np.zeros((4, 4), int)
    for step in range(200):
        batch = loader.batch(step)
        np.add.at(counts, (batch.labels.numpy(), batch.wrong_images[:, 0, 0, 0].numpy() % 4), 1)
    assert not np.diag(counts).any()
    assert abs(counts[~np.eye(4, dtype=bool)] - 200).max() < 60  # 200 +- 4.5 standard deviations
    unlabelled = Loader(numbered(3, classes=0), BatchPlan(12, SIDE, wrong_images=True), 1)
    for step in range(20):
        batch = unlabelled.batch(step)
        assert (batch.wrong_images[:, 0, 0, 0] != batch.indices).all()


def test_wrong_images_have_a_window_of_their_own():
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[None, None, :, None], (6, SIDE, SIDE, 3)).copy()
    pictures = PictureSet.from_arrays(ramp, [Record(str(index), ("a",)) for index in range(6)])
    batch = Loader(pictures, BatchPlan(64, 8, scale_size=SIDE, wrong_images=True), 1).batch(0)
    same = (batch.images[:, 0, 0, 0] == batch.wrong_images[:, 0, 0, 0]).float().mean()
    assert same < 0.4


def test_captions_without_replacement_differ_until_they_run_out():
    pictures = numbered(captions=3)
    loader = Loader(pictures, BatchPlan(12, SIDE, captions_per_image=3), 1)
    for step in range(20):
        assert all(len(set(row)) == 3 for row in loader.batch(step).captions.tolist())
    more = Loader(pictures, BatchPlan(12, SIDE, captions_per_image=5), 1)
    for step in range(20):
        assert all(len(set(row)) == 3 for row in more.batch(step).captions.tolist())
    replaced = Loader(pictures, BatchPlan(12, SIDE, captions_per_image=3, captions_with_replacement=True), 1)
    assert any(len(set(row)) < 3 for step in range(20) for row in replaced.batch(step).captions.tolist())


def test_pictures_with_different_numbers_of_captions():
    records = [Record(str(index), tuple(f"{index} {number}" for number in range(index + 1))) for index in range(5)]
    pictures = PictureSet.from_arrays(np.zeros((5, SIDE, SIDE, 3), np.uint8), records)
    seen = set()
    for replacement in (False, True):
        loader = Loader(pictures, BatchPlan(5, SIDE, captions_per_image=2, captions_with_replacement=replacement), 1)
        for step in range(100):
            batch = loader.batch(step)
            first, last = pictures.caption_ranges[batch.indices.numpy()].T
            captions = batch.captions.numpy()
            assert ((captions >= first[:, None]) & (captions < last[:, None])).all()
            seen |= set(captions.ravel().tolist())
    assert seen == set(range(15))


def test_balanced_and_distinct_classes():
    images = np.zeros((22, SIDE, SIDE, 3), np.uint8)
    labels = ["many"] * 20 + ["one", "other"]
    pictures = PictureSet.from_arrays(images, [Record(str(i), ("a",), label=label) for i, label in enumerate(labels)])
    counts = np.zeros(3)
    for step in range(200):
        batch = Loader(pictures, BatchPlan(6, SIDE, balance_classes=True), 1).batch(step)
        counts += np.bincount(batch.labels, minlength=3)
    assert abs(counts / counts.sum() - 1 / 3).max() < 0.06
    seen = set()
    for step in range(100):
        batch = Loader(pictures, BatchPlan(3, SIDE, distinct_classes=True), 1).batch(step)
        assert sorted(batch.labels.tolist()) == [0, 1, 2]
        seen |= set(batch.indices.tolist())
    assert seen == set(range(22))


def test_crop_offsets_cover_exactly_their_range():
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.uint8)
    images = np.stack([y, x, x], axis=2)[None].repeat(4, axis=0)
    pictures = PictureSet.from_arrays(images, [Record(str(index), ("a",)) for index in range(4)])
    for low in (0, 1, 3):
        loader = Loader(pictures, BatchPlan(32, 16, scale_size=SIDE, crop_offset_low=low), 1)
        corners = torch.cat([loader.batch(step).images[:, :2, 0, 0] for step in range(30)])
        assert all(set(corners[:, axis].tolist()) == set(range(low, SIDE - 16 + 1)) for axis in (0, 1))
        assert len({tuple(pair) for pair in corners.tolist()}) > 0.9 * (9 - low) ** 2
    whole = Loader(pictures, BatchPlan(4, 16, scale_size=SIDE), 1).batch(0).images
    assert (whole[:, 0, 1:] - whole[:, 0, :-1] == 1).all()
    assert (whole[:, 1, :, 1:] - whole[:, 1, :, :-1] == 1).all()


@pytest.mark.parametrize("plan", [
    BatchPlan(10, 64), BatchPlan(10, 64, flip=True), BatchPlan(10, 40, scale_size=64),
    BatchPlan(10, 40, scale_size=64, flip=True)])
def test_boxes_and_key_points_follow_the_drawn_pixels(plan):
    loader, size = Loader(marked(), plan, 2), plan.image_size
    mirrored_rows = hidden = 0
    for step in range(10):
        batch = loader.batch(step)
        for row, image in enumerate(batch.images.permute(0, 2, 3, 1).numpy()):
            mirrored = image[0, 0, 2] > image[0, -1, 2]
            mirrored_rows += mirrored
            inside = np.argwhere(image[..., 0] == 255)
            x, y, width, height = batch.boxes[row].numpy() * size
            corners = np.clip([[y, x], [y + height, x + width]], 0, size)
            if len(inside):
                assert np.allclose(corners, [inside.min(axis=0), inside.max(axis=0) + 1], atol=1e-4)
            else:
                assert (corners[1] - corners[0]).min() < 1e-4
            for point, (px, py, visible) in enumerate(batch.keypoints[row].numpy()):
                drawn = np.argwhere(image[..., 1] == 1 + (SWAPPED[point] if mirrored else point))
                assert len(drawn) == visible
                assert np.allclose([py * size, px * size], drawn[0] + 0.5 if visible else 0, atol=1e-4)
                hidden += not visible
    assert (20 < mirrored_rows < 80) if plan.flip else mirrored_rows == 0
    assert (hidden > 100) == (plan.scale_size > 0)


def test_unknown_boxes_stay_unknown():
    pictures = PictureSet.from_arrays(np.zeros((2, 16, 16, 3), np.uint8),
                                      [Record("a", ("a",), bbox=(0, 0, 8, 8)), Record("b", ("b",))])
    batch = Loader(pictures, BatchPlan(2, 16, flip=True), 1).batch(0)
    assert torch.isnan(batch.boxes).all(dim=1).tolist() == (batch.indices == 1).tolist()
    assert batch.boxes.dtype == torch.float32


@pytest.mark.parametrize(("pictures", "plan", "world_size", "word"), [
    (numbered(), BatchPlan(5, SIDE), 2, "cannot be shared by 2 processes"),
    (numbered(), BatchPlan(8, SIDE, rows_together=4), 4, "by 4 processes; give a multiple of 16"),
    (numbered(classes=1), BatchPlan(4, SIDE, wrong_images=True), 1, "only one class"),
    (numbered(1, classes=0), BatchPlan(4, SIDE, wrong_images=True), 1, "only one picture"),
    (numbered(classes=0), BatchPlan(4, SIDE, distinct_classes=True), 1, "distinct_classes needs classes"),
    (numbered(classes=0), BatchPlan(4, SIDE, balance_classes=True), 1, "balance_classes needs classes"),
    (numbered(), BatchPlan(5, SIDE, distinct_classes=True), 1, "there are 4 classes"),
    (PictureSet.from_arrays(np.zeros((0, 8, 8, 3), np.uint8), []), BatchPlan(5, SIDE), 1, "no pictures"),
])
def test_impossible_plans_say_what_to_do(pictures, plan, world_size, word):
    with pytest.raises(LimnerError, match=word):
        Loader(pictures, plan, 1, world_size=world_size)


def test_fewer_pictures_than_the_batch_size_wrap_around():
    batch = Loader(numbered(3, classes=0), BatchPlan(8, SIDE), 1).batch(0)
    assert np.bincount(batch.indices).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_loading_from_a_folder(tmp_path):
    make_folder(tmp_path, 5, kind="png", bbox=lambda index: [4, 3, 20, 15])
    pictures = open_corpus(tmp_path).split("train")
    batch = Loader(pictures, BatchPlan(5, 16, flip=True), 1).batch(0)
    pixels = torch.from_numpy(pictures.pixels(16)[batch.indices.numpy()]).permute(0, 3, 1, 2)
    assert all(torch.equal(batch.images[row], pixels[row]) or torch.equal(batch.images[row], pixels[row].flip(2))
               for row in range(5))
    assert np.allclose(batch.boxes[:, 1:], [0.1, 0.5, 0.5])
    assert set(batch.boxes[:, 0].tolist()) <= {
        np.float32(0.1), np.float32(0.4)}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "limner-prefetch"]


def test_prefetch_gives_the_same_batches_in_order_and_ends_when_closed():
    loader = Loader(numbered(), PLANS[1], 5)
    batches = prefetch(loader, 3)
    for step in range(3, 9):
        number, batch = next(batches)
        assert number == step
        assert_equal(batch, Loader(numbered(), PLANS[1], 5).batch(step))
    assert len(threads()) == 1
    started = time.monotonic()
    batches.close()
    assert not threads()
    assert time.monotonic() - started < 1


def test_prefetch_raises_what_the_thread_met():
    class Breaking(Loader):
        def batch(self, step):
            if step == 2:
                raise OSError("the disk went away")
            return super().batch(step)

    batches = prefetch(Breaking(numbered(), PLANS[0], 5), 0)
    assert [next(batches)[0], next(batches)[0]] == [0, 1]
    with pytest.raises(OSError, match="went away"):
        next(batches)
    assert not threads()
