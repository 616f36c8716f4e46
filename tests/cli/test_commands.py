from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import Run

from limner.painting.png import read_story


def _spawn(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "limner", *arguments], text=True, stderr=subprocess.PIPE,
                            **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("arguments", [["--help"], ["paint", "--help"], ["train", "--help"], ["data", "--help"]])
def test_help_is_quick_and_loads_no_torch(arguments: list[str]) -> None:
    code = (f"import sys; from limner.cli import main; status = main({arguments!r}); "
            "sys.exit(status or int('torch' in sys.modules or 'numpy' in sys.modules))")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "examples:" in done.stdout or "example:" in done.stdout
    # processor time, which is the wall's on a machine that is free
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_a_wrong_command_line_is_a_mistake_of_the_user(limner: Run) -> None:
    for arguments in ([], ["pain"], ["paint", "--nope"], ["data"], ["train"], ["train", "gan-cls", "x"]):
        done = limner(*arguments)
        assert (done.status, done.out) == (2, ""), arguments
    assert limner("--version").out.startswith("limner 0.")


def test_a_reader_that_leaves_is_no_fault(limner: Run, bundle: Path) -> None:
    limner("paint", "red star", "--model", bundle, "--out", "a.png")
    reading, writing = os.pipe()
    os.close(reading)
    process = _spawn("show", "a.png", stdout=writing)
    os.close(writing)
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 1


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    process = _spawn("data", "make", "shapes", str(tmp_path / "shapes"), "--count", "1000000")
    while not any(tmp_path.iterdir()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120)[1] == "limner: stopped by Ctrl-C.\n"
    assert process.returncode == 130


def test_ctrl_c_while_a_dataclass_is_made_ends_with_130(tmp_path: Path) -> None:
    # what `python -m` does with it: CPython marks a KeyboardInterrupt that leaves an exec of a string as uncaught
    (tmp_path / "sitecustomize.py").write_text(
        "import limner.cli.show\nlimner.cli.show.run = lambda arguments: exec('raise KeyboardInterrupt')\n")
    process = _spawn("show", "a.png", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert process.communicate(timeout=120)[1] == "limner: stopped by Ctrl-C.\n"
    assert process.returncode == 130


def test_show_refuses_what_it_did_not_paint(limner: Run) -> None:
    Image.new("RGB", (8, 8)).save("foreign.png")
    done = limner("show", "foreign.png")
    assert done.status == 2
    assert "carries no story" in done.err


def test_models_are_listed_and_exported(limner: Run, bundle: Path) -> None:
    listed = limner("models", bundle)
    assert listed.out.startswith("toy  toy  0.")
    assert "licence  Apache-2.0" in listed.out
    exported = limner("models", "export", bundle, "small", "--half", "--licence", "CC0", "--credit", "Drawn by Ada.",
                      "--summary", "It paints.")
    assert (exported.status, exported.out) == (0, "small\n")
    [entry] = [json.loads(line) for line in limner("models", "small", "--json").out.splitlines()]
    assert (entry["name"], entry["info"]["licence"], entry["info"]["scores"]) == ("small", "CC0", {"accuracy": 0.5})
    card = Path("small/README.md").read_text()
    assert "It paints." in card
    assert "- **Credit:** Drawn by Ada." in card
    assert "credit   Drawn by Ada." in limner("models", "small").out
    assert "credit" not in listed.out
    limner("paint", "red star", "--model", "small", "--out", "a.png")
    assert read_story("a.png")["model"] == {"name": "small", "system": "toy", "hash": entry["hash"]}
    assert limner("models", "export", bundle).status == 2
    assert limner("models", "nowhere").status == 2


def test_data_is_made_and_checked(limner: Run) -> None:
    assert limner("data", "make", "shapes", "shapes", "--count", 30, "--size", 32).out == "shapes\n"
    checked = limner("data", "check", "shapes", "--json", "--sheet", "sheet.png")
    assert checked.status == 0
    assert sum(json.loads(checked.out)["pictures"].values()) == 30
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 100
    picture = next(Path("shapes").rglob("*.png"))
    picture.write_bytes(b"")
    broken = limner("data", "check", "shapes")
    assert broken.status == 2
    assert "Not ready for training" in broken.out
    for arguments, words in ((["make", "shapes", "shapes"], "is there already"),
                             (["make", "shapes", "x", "--mnist", "y"], "shapes takes no --mnist"),
                             (["make", "digits", "x"], "--mnist"),
                             (["check", "nowhere"], "there is no folder"),
                             (["import", "coco", "x", "y", "--views", "all"], "takes no --views"),
                             (["import", "cub", "nowhere", "y"], "there is no folder")):
        done = limner("data", *arguments)
        assert done.status == 2
        assert words in done.err
