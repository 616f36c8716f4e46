"""The README's own commands, as a reader would type them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"<!-- run by a test -->\n```bash\n(.*?)```", re.DOTALL)


def _commands() -> list[list[str]]:
    lines = "\n".join(_BLOCK.findall(_README)).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.slow
def test_the_commands_run_in_order(tmp_path: Path) -> None:
    commands = _commands()
    assert len(commands) >= 6
    for command in commands:
        assert command[0] == "limner", f"only limner commands are marked as run by a test, not {command}"
        done = subprocess.run([sys.executable, "-m", "limner", *command[1:]], cwd=tmp_path, text=True,
                              capture_output=True, env={**os.environ, "NO_COLOR": "1"}, timeout=300)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert list(tmp_path.glob("*.png"))


def test_pictures_and_pages_it_names_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", _README):
        if "://" not in target:
            assert (_ROOT / target).exists(), f"README.md points to {target}"


@pytest.mark.parametrize("marker", ["install-and-paint", "install-and-test"])
def test_setup_is_one_command(marker: str) -> None:
    [block] = re.findall(rf"<!-- {marker} -->\n```bash\n(.*?)```", _README, re.DOTALL)
    assert len(block.strip().splitlines()) == 1
    assert "-c constraints.txt" in block
