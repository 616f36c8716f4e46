"""Stages of another training that a new one can take over instead of training the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.config import from_json, to_json
from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.systems import get_system
from limner.systems.protocol import System
from limner.training.bundle_folder import read_bundle
from limner.training.run_folder import RunFolder, data_key, difference, read_description


def finished_stages(run: Path, system: System, config: Any, corpus: Corpus, *, seed: int, images: int | None
                    ) -> list[Path]:
    """The first stages of another run that ``config`` would train in the same way: same data, seed and settings. It may
    be a run of another system. The last stage is never among them.

    Raises:
        LimnerError: ``run`` is no run, or has no such stage; says what differs. Or such a stage is damaged.
    """
    before = read_description(run)
    other = get_system(before["system"])
    theirs = from_json(other.config_type, before["config"])
    if before["images"] != images:
        raise _nothing(run, f"its stages were shown {before['images'] or 'as many pictures as its preset says'}, which "
                            "--images changes")
    for name, ours, value in (("data", data_key(corpus), before["data"]["key"]), ("seed", seed, before["seed"])):
        if ours != value:
            raise _nothing(run, f"its {name} differs ({value} there, {ours} here)")
    names = system.stage_names(config)
    wanted = names[:-1]
    found: list[Path] = []
    for index, (name, their_name) in enumerate(zip(wanted, other.stage_names(theirs), strict=False)):
        path = RunFolder(run).stage_path(index, name)
        if name != their_name:
            reason: str | None = f"its stage {index + 1} is {their_name}, not {name}"
        elif not (path / "config.json").is_file():
            reason = f"its {name} is not finished"
        else:
            reason = difference(_plain(other.stage_settings(theirs, name)),
                                _plain(system.stage_settings(config, name)), name)
        if reason is not None:
            if not found:
                raise _nothing(run, reason)
            break
        read_bundle(path)  # a damaged one shall fail here, before there is a new run
        found.append(path)
    if not found:
        raise _nothing(run, f"{system.name} has no stage before its last")
    return found


def _plain(parts: tuple[Any, ...]) -> dict[str, Any]:
    return {str(number): to_json(part) for number, part in enumerate(parts)}


def _nothing(run: Path, reason: str) -> LimnerError:
    return LimnerError(f"no stage of {run} can be taken over: {reason}. Leave --stages-from out to train all stages.")
