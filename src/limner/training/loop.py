"""The training of a system: all its stages in order, into one run folder. It names no system."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from limner.config import to_json
from limner.data.pictures import Corpus
from limner.training.bundle_folder import read_bundle
from limner.training.devices import launch
from limner.training.interruption import Interruption
from limner.training.log import RunLog
from limner.training.progress import Reporter
from limner.training.run_folder import RunFolder, describe_run
from limner.training.settings import RunSettings
from limner.training.stage import Components, Stage
from limner.training.stage_training import Job, StageTraining


class HasComponents(Protocol):
    """Of a painter, the loop needs no more than this."""

    def components(self) -> Components: ...


class Trainable(Protocol):
    """What the loop needs of a system (``systems.protocol.System`` has it)."""

    @property
    def name(self) -> str: ...

    @property
    def stage_names(self) -> Callable[[Any], tuple[str, ...]]: ...

    @property
    def painting_stages(self) -> tuple[str, ...]: ...

    @property
    def build_stage(self) -> Callable[[str, Any, Corpus, Components, int], Stage]: ...

    @property
    def build_painter(self) -> Callable[[Any, Components], HasComponents]: ...


def train(system: Trainable, preset: str, config: Any, corpus: Corpus, run: Path, settings: RunSettings, *,
          resume: bool = False, finished: Sequence[Path] = (), progress: bool = True) -> None:
    """Trains all stages of a system and leaves its painter in ``run/painter``.

    Started by ``torchrun`` in several processes, they share each batch; all must see the run folder.

    Args:
        preset: name of the preset that ``config`` came from, for the record.
        run: the run folder; see ``training.run_folder``.
        resume: go on with the training in ``run``, which must be the same (system, configuration, data, seed).
            The result is that of an uninterrupted run, bit for bit on the CPU. More ``images`` than before extend
            the last stage, and stages that have not ended.
        finished: folders of the first stages, taken over from another run (``systems.reuse`` finds them).
        progress: show progress on stderr.

    Raises:
        LimnerError: a mistake of the user, such as a run folder that is taken; a full disk.
        TrainingStopped: a loss or weight that is not finite, or a collapse. The last good state is kept.
        KeyboardInterrupt: after SIGINT or SIGTERM, when the state has been saved.
    """
    fabric = launch(settings)
    folder = RunFolder(run)
    description = describe_run(
        system.name, preset, to_json(config), corpus, seed=settings.seed, images=settings.images, tick=settings.tick,
        device=fabric.device.type, precision="bf16" if fabric._precision.precision == "bf16-mixed" else "32",
    )
    names = system.stage_names(config)
    first = fabric.is_global_zero
    tensorboard = run / "tensorboard" if settings.tensorboard and first else None
    with (
        _kept_generators(fabric.device),
        Interruption() as interruption,
        Reporter(enabled=progress and first) as reporter,
        contextlib.closing(RunLog(folder.log_path, tensorboard)) as log,
        (folder.opened(description, resume=resume, config_type=type(config)) if first
         else contextlib.nullcontext(description)) as description,
    ):
        description = fabric.broadcast(description)
        job = Job(system.name, preset, config, corpus, folder, settings, fabric, names, description["images"],
                  description["tick"], interruption, reporter, log, system.painting_stages or names[-1:],
                  system.build_stage, system.build_painter)
        if first:
            for index, path in enumerate(finished):
                folder.take_over(index, names[index], path)
        fabric.barrier()
        components = Components()
        for index, name in enumerate(names):
            path = folder.stage_path(index, name)
            if _is_finished(path, last=index == len(names) - 1, images=job.images):
                reporter.note(f"{name} ({index + 1} of {len(names)}) is finished")
            else:
                StageTraining(job, index, components).run()
                fabric.barrier()
            components = components | read_bundle(path).components
        reporter.note(f"The painter is in {folder.painter_path}")


def _is_finished(path: Path, *, last: bool, images: int | None) -> bool:
    """Whether a stage needs no more training. Only the last one can be extended: later ones build on the others."""
    if not (path / "config.json").is_file():
        return False
    return not last or images is None or read_bundle(path).info["images"] >= images


@contextlib.contextmanager
def _kept_generators(device: torch.device) -> Iterator[None]:
    """Gives torch's global generators (CPU and CUDA) back as they were: the loop sets them to addresses."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
