import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tests.data.pictures_on_disk import encoded, make_folder, smooth_picture

from limner.data.decoding import squash
from limner.data.pictures import open_corpus
from limner.errors import LimnerError

BUILD = "import sys; from limner.data.pictures import open_corpus; open_corpus(sys.argv[1]).split('train').pixels(32)"


def leftovers(root):
    return sorted(path.name for path in (root / ".limner-cache").glob("*") if path.name != "lock") + [
        path.name for path in (root / ".limner-cache").glob(".*")]


def test_pixels_are_the_squashed_pictures_in_order(tmp_path):
    make_folder(tmp_path, 5, kind="png", split=lambda index: "test" if index == 2 else "train")
    corpus = open_corpus(tmp_path)
    train = corpus.split("train").pixels(16)
    assert isinstance(train, np.memmap)
    assert train.shape == (4, 16, 16, 3)
    assert not train.flags.writeable
    for row, index in enumerate((0, 1, 3, 4)):
        assert np.array_equal(train[row], squash(smooth_picture(index), 16))
    assert np.array_equal(corpus.split("test").pixels(16)[0], squash(smooth_picture(2), 16))


def test_the_cache_is_built_once_and_progress_is_told(tmp_path):
    make_folder(tmp_path)
    told = []
    open_corpus(tmp_path, progress=lambda *what: told.append(what)).split("train").pixels(8)
    assert told[-1] == ("Caching train pictures at 8 px", 6, 6)
    told.clear()
    open_corpus(tmp_path, progress=lambda *what: told.append(what)).split("train").pixels(8)
    assert not told


def test_a_changed_picture_or_list_rebuilds_and_old_caches_go(tmp_path):
    make_folder(tmp_path, 4, kind="png")
    before = np.array(open_corpus(tmp_path).split("train").pixels(8))
    smooth_picture(99).save(tmp_path / "001.png")
    after = open_corpus(tmp_path).split("train").pixels(8)
    assert np.array_equal(after[0], before[0])
    assert np.array_equal(after[1], squash(smooth_picture(99), 8))
    lines = (tmp_path / "metadata.jsonl").read_text().splitlines()
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines[::-1]))
    turned = open_corpus(tmp_path).split("train").pixels(8)
    assert np.array_equal(turned, after[::-1])
    assert len(leftovers(tmp_path)) == 1


def test_a_same_size_picture_with_another_time_is_seen(tmp_path):
    make_folder(tmp_path, 2, kind="bmp")
    open_corpus(tmp_path).split("train").pixels(8)
    smooth_picture(50).save(tmp_path / "000.bmp")
    assert np.array_equal(open_corpus(tmp_path).split("train").pixels(8)[0], squash(smooth_picture(50), 8))


def test_editing_a_caption_rebuilds_nothing(tmp_path):
    make_folder(tmp_path, 2)
    open_corpus(tmp_path).split("train").pixels(8)
    names = leftovers(tmp_path)
    metadata = tmp_path / "metadata.jsonl"
    metadata.write_text(metadata.read_text().replace("picture number", "another caption"))
    told = []
    pictures = open_corpus(tmp_path, progress=lambda *what: told.append(what)).split("train")
    pictures.pixels(8)
    assert not told
    assert leftovers(tmp_path) == names
    assert pictures.captions[0] == "another caption 0"


def test_a_cache_file_that_was_cut_is_built_again(tmp_path):
    make_folder(tmp_path, 3)
    good = np.array(open_corpus(tmp_path).split("train").pixels(8))
    path = next((tmp_path / ".limner-cache").glob("*.npy"))
    for size in (0, 50, path.stat().st_size - 1):
        with path.open("r+b") as file:
            file.truncate(size)
        assert np.array_equal(open_corpus(tmp_path).split("train").pixels(8), good)


def test_broken_pictures_stop_the_build_and_leave_nothing(tmp_path):
    make_folder(tmp_path, 9)
    for index in range(1, 8):
        (tmp_path / f"{index:03d}.jpg").write_bytes(encoded(smooth_picture(1, 200, 200))[:500])
    with pytest.raises(LimnerError, match=r"7 of 9 pictures .*001\.jpg.*and 2 more.*limner data check"):
        open_corpus(tmp_path).split("train").pixels(8)
    assert leftovers(tmp_path) == []


def test_skip_broken_leaves_them_out_and_counts_them(tmp_path):
    make_folder(tmp_path, 5, kind="png")
    (tmp_path / "001.png").write_bytes(b"no picture")
    (tmp_path / "003.png").write_bytes(b"")
    told = []
    for _ in range(2):
        corpus = open_corpus(tmp_path, skip_broken=True, progress=lambda *what: told.append(what))
        train = corpus.split("train")
        assert [record.file_name for record in train.records] == ["000.png", "002.png", "004.png"]
        assert sorted(problem.file for problem in corpus.skipped) == ["001.png", "003.png"]
        assert np.array_equal(train.pixels(8)[1], squash(smooth_picture(2), 8))
        assert ("Left out 2 of 5 pictures or lines with faults", 2, 5) in told
        assert any(what.startswith("Looking for broken") for what, *_ in told) == (_ == 0)
        told.clear()


def test_a_read_only_folder_needs_another_place(tmp_path):
    root = make_folder(tmp_path / "pictures", 2)
    (root / ".limner-cache").write_text("a file where the cache folder would be")
    with pytest.raises(LimnerError, match="cache_dir"):
        open_corpus(root).split("train").pixels(8)
    other = make_folder(tmp_path / "elsewhere" / "pictures", 3)
    place = tmp_path / "caches"
    assert open_corpus(root, cache_dir=place).split("train").pixels(8).shape[0] == 2
    assert open_corpus(other, cache_dir=place).split("train").pixels(8).shape[0] == 3
    assert len(list(place.iterdir())) == 2
    assert not (other / ".limner-cache").exists()


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mounted = shutil.which("mount") and os.name == "posix" and os.getuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        make_folder(tmp_path / "pictures", 8)
        corpus = open_corpus(tmp_path / "pictures", cache_dir=place)
        assert corpus.split("train").pixels(8).shape == (8, 8, 8, 3)
        with pytest.raises(LimnerError, match="no space left"):
            corpus.split("train").pixels(64)
        files = [path for path in place.rglob("*") if path.is_file() and path.name != "lock"]
        assert len(files) == 1
        assert corpus.split("train").pixels(8).shape == (8, 8, 8, 3)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_killed_build_leaves_no_wrong_cache(tmp_path):
    make_folder(tmp_path, 0)
    lines = []
    data = encoded(smooth_picture(0, 700, 700), quality=95)
    for index in range(120):
        (tmp_path / f"{index}.jpg").write_bytes(data)
        lines.append(f'{{"file_name": "{index}.jpg", "text": "a"}}\n')
    (tmp_path / "metadata.jsonl").write_text("".join(lines))
    place = tmp_path / ".limner-cache"
    random.seed(0)
    killed = 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)])
        while process.poll() is None and not list(place.glob(".*.partial")):
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for built in place.glob("*.npy"):  # it was faster than the kill
            built.unlink()
        killed += bool(list(place.glob(".*.partial")))
        if killed == 3:
            break
    assert killed == 3
    pixels = open_corpus(tmp_path).split("train").pixels(32)
    expected = squash(Image.open(tmp_path / "0.jpg"), 32).astype(int)
    assert abs(pixels.astype(int) - expected).max() <= 6
    assert len(leftovers(tmp_path)) == 1


def test_two_processes_that_build_at_once_agree(tmp_path):
    make_folder(tmp_path, 40, kind="png")
    processes = [subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    pixels = open_corpus(tmp_path).split("train").pixels(32)
    assert all(np.array_equal(pixels[index], squash(smooth_picture(index), 32)) for index in range(40))
    assert len(leftovers(tmp_path)) == 1
