"""One stage in training: steps, ticks, checkpoints, the end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from limner import __version__
from limner.config import to_json
from limner.data.batch import Batch
from limner.data.loader import Loader, prefetch
from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.nn.initialisation import seeded_initialisation
from limner.training import checkpoint
from limner.training.averaging import Averages
from limner.training.bundle_folder import BundleFolder, read_bundle, write_bundle
from limner.training.context import LoopContext
from limner.training.devices import (
    any_process,
    mean_over_processes,
    share_buffers_from_first,
    share_from_first,
)
from limner.training.graphs import StepRecorder
from limner.training.interruption import Interruption
from limner.training.log import RunLog, without_nan
from limner.training.progress import Reporter
from limner.training.run_folder import RunFolder, data_name
from limner.training.settings import RunSettings
from limner.training.stage import Components, Samples, Stage
from limner.training.watch import CollapseWatch, check_losses, spread, stop_for_collapse, stop_for_weights

_LOOK_SECONDS = 1.0
"""Between two ticks, losses are fetched from the device this often, to be shown and checked."""

_SAVE_SECONDS = 300.0
"""Between two ticks, a checkpoint is written this often: more work than that nobody loses to a kill."""


@dataclass(frozen=True)
class Job:
    """What the stages of one training share."""

    system: str
    preset: str
    config: Any
    corpus: Corpus
    folder: RunFolder
    settings: RunSettings
    fabric: Fabric
    stage_names: tuple[str, ...]
    images: int | None
    tick: int | None
    interruption: Interruption
    reporter: Reporter
    log: RunLog
    painting_stages: tuple[str, ...]
    build_stage: Callable[[str, Any, Corpus, Components, int], Stage]
    build_painter: Callable[[Any, Components], Any]


@dataclass
class State:
    """How far a stage is; saved with every checkpoint."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    """Time of training in all, ticks and all sessions included."""
    tick_images: int = 0
    """Images shown since the last tick, and the seconds that their steps took."""
    tick_seconds: float = 0.0
    loss_steps: dict[str, int] = field(default_factory=dict)
    """How many steps since the last tick gave each loss."""
    alike_ticks: int = 0
    best_value: float | None = None
    best_images: int | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    """Validation figures of the last tick; None where a figure was not a finite number."""


class StageTraining:
    """Drives one stage from its start or its latest checkpoint to its end."""

    def __init__(self, job: Job, index: int, components: Components) -> None:
        """``components`` is what the stages before handed on."""
        self.job, self.fabric, self.folder = job, job.fabric, job.folder
        self.index, self.name = index, job.stage_names[index]
        self.paints = index >= job.stage_names.index(job.painting_stages[0])
        self._earlier = components
        with seeded_initialisation(job.settings.seed, f"{self.name}/build"):
            self.stage = job.build_stage(self.name, job.config, job.corpus, components.to(self.fabric.device),
                                         job.settings.seed)
        own = self.stage.schedule
        self.schedule = replace(own, images=job.images or own.images, tick=job.tick or own.tick)
        for module in self.stage.modules.values():
            module.to(self.fabric.device)
        share_from_first(self.stage.modules.values(), self.fabric)
        self.averages = Averages(self.stage.modules, self.stage.averaged, self.schedule)
        self.shown: dict[str, nn.Module] = {**self.stage.modules, **self.averages.modules}
        """The modules that sample, validate and become components: averaged where there is an average."""
        self.state = State()
        self._recorder = StepRecorder() if self.fabric.device.type == "cuda" else None
        self._totals: dict[str, Tensor] = {}
        self._saved: Path | None = None
        self._clock = self._looked = self._saved_at = 0.0

    def run(self) -> None:
        """Trains to the end of the schedule and writes the components. Raises as ``training.loop.train`` says."""
        self._resume()
        loader = Loader(self.job.corpus.split("train"), self.stage.plan, self.job.settings.seed,
                        rank=self.fabric.global_rank, world_size=self.fabric.world_size)
        title = f"{self.name} ({self.index + 1} of {len(self.job.stage_names)})"
        self.job.reporter.begin(title, images=self.schedule.images, done=self.state.images)
        if self.state.step == 0 and self.fabric.is_global_zero:
            self._note_enlarged()
            self._draw_start(loader)
        self._clock = self._looked = self._saved_at = time.perf_counter()
        with contextlib.closing(prefetch(loader, self.state.step, self.fabric.device)) as batches:
            while self.state.images < self.schedule.images:
                self._advance(next(batches)[1])
        if self.fabric.is_global_zero:
            self._finish()

    def _advance(self, batch: Batch) -> None:
        """One step and what is due after it."""
        context = self._context("step")
        context.seed_global_generators()
        losses = self.stage.step(batch, context)
        for name, value in losses.items():
            value = value.detach().float()
            self._totals[name] = self._totals[name] + value if name in self._totals else value
            self.state.loss_steps[name] = self.state.loss_steps.get(name, 0) + 1
        size = self.stage.plan.batch_size
        ticks = self.state.images // self.schedule.tick
        self.state.step += 1
        self.state.images += size
        self.state.tick_images += size
        if self.fabric.is_global_zero:
            self.averages.update(size, self.state.images)
        now = self._take_time(stepping=True)
        if self.state.images // self.schedule.tick > ticks or self.state.images >= self.schedule.images:
            self._tick()
        elif now - self._looked > _LOOK_SECONDS:
            self._looked = now
            means = self._means(1)
            self._check(means)
            self.job.reporter.update(self.name, self.state.images, self.schedule.images, self._rate(), means)
            if self.fabric.is_global_zero and now - self._saved_at > _SAVE_SECONDS and not self.state.alike_ticks:
                self._check_weights()
                self._save(is_best=False)
        if any_process(self.job.interruption.wanted, self.fabric):
            self._stop_by_request()

    def _tick(self) -> None:
        """Checks, validates, draws, logs and saves."""
        means = self._means(self.fabric.world_size)
        self._check(means)
        share_buffers_from_first(self.stage.modules.values(), self.fabric)
        rate = self._rate()
        self._totals = {}
        self.state.loss_steps = {}
        self.state.tick_images, self.state.tick_seconds = 0, 0.0
        if self.fabric.is_global_zero:
            self._check_weights()
            self.state.figures = self._validate()
            samples = self._sample()
            figures = dict(self.state.figures)
            if samples is not None:
                self.folder.save_grid(f"{self.name}-{self.state.images}", samples.images, samples.captions)
                figures["sample_spread"] = self._watch_collapse(samples)
            is_best = self._is_best()
            self._take_time(stepping=False)
            line = {"stage": self.name, "step": self.state.step, "images": self.state.images,
                    "seconds": round(self.state.seconds, 3), "images_per_second": round(rate, 2), "losses": means,
                    "figures": figures, "memory_mb": _memory(self.fabric.device)}
            self.job.log.append(line)  # before the checkpoint: resuming cuts lines that lead, and cannot add lost ones
            self._save(is_best=is_best)
            self.job.reporter.tick(line, self.schedule.images)
        self._take_time(stepping=False)
        self._looked = self._clock

    def _save(self, *, is_best: bool) -> None:
        """Writes a checkpoint, and the painter once this stage can give it its parts."""
        self._saved = self.folder.checkpoint_path(self.name, self.state.images)
        tensors, skeletons = checkpoint.collect(self.stage, self.averages.modules, self._totals)
        checkpoint.save(self._saved, tensors, skeletons, {"stage": self.name, "progress": asdict(self.state)})
        self._saved_at = time.perf_counter()
        if not self.state.alike_ticks:  # while a collapse is suspected, the way back stays open
            self.folder.retain(self.name, self.job.settings.keep, self.state.best_images)
        ended = self.state.images >= self.schedule.images
        if self.paints and not ended and (is_best or not self.schedule.best):
            self._write_painter(self._components(), self.state.images)

    def _finish(self) -> None:
        """Hands the components on: those of the best checkpoint if the schedule names a figure, else the last ones."""
        images = self.state.images
        if self.schedule.best and self.state.best_images not in (None, images):
            images = self.state.best_images or images
            best = self.folder.checkpoint_path(self.name, images)
            checkpoint.restore(best, self.stage, self.averages.modules)
        components = self._components()
        if self.paints:
            self._write_painter(components, images)
        info = {"stage": self.name, "images": self.state.images, "taken_at_images": images,
                "scores": dict(self.state.figures)}
        write_bundle(self.folder.stage_path(self.index, self.name),
                     BundleFolder(self.job.system, to_json(self.job.config), components, info))

    def _write_painter(self, components: Components, images: int) -> None:
        painter = self.job.build_painter(self.job.config, self._earlier | components)
        scores, names = dict(self.state.figures), self.job.stage_names
        painting = next(name for name in reversed(names[:self.index + 1]) if name in self.job.painting_stages)
        if self.name != painting:  # images and scores are those of the stage that learnt to paint
            made = read_bundle(self.folder.stage_path(names.index(painting), painting)).info
            images, scores = made["taken_at_images"], made.get("scores", {})
        info = {
            "name": self.folder.root.resolve().name, "data": data_name(self.job.corpus),
            "licence": self.job.corpus.info.get("licence"), "preset": self.job.preset, "images": images,
            "scores": scores, "limner": __version__,
        }
        write_bundle(self.folder.painter_path,
                     BundleFolder(self.job.system, to_json(self.job.config), painter.components(), info))

    def _resume(self) -> None:
        """Takes up the latest checkpoint, if there is one, and forgets log lines of after it."""
        found = self.folder.checkpoints(self.name)
        if found:
            totals, saved = checkpoint.restore(found[-1], self.stage, self.averages.modules)
            self.state = State(**saved["progress"])
            self._totals = {name: totals[name].to(self.fabric.device) for name in self.state.loss_steps}
            self._saved = found[-1]
        if self.fabric.is_global_zero:
            self.folder.cut_log(self.job.stage_names, self.name, self.state.images)

    def _stop_by_request(self) -> None:
        """Saves, unless a tick just did, and raises KeyboardInterrupt."""
        if self.fabric.is_global_zero:
            if self._saved != self.folder.checkpoint_path(self.name, self.state.images):
                self._check(self._means(1))
                self._check_weights()
                self._save(is_best=False)
            self.job.reporter.note(f"Stopped; the state at {self.state.images:,} images of stage {self.name} is "
                                   "saved. To go on, give the same command with --resume.")
        self.fabric.barrier()
        raise KeyboardInterrupt

    def _draw_start(self, loader: Loader) -> None:
        """A grid of training pictures, and what the fresh networks paint: so a fault in painting shows at once."""
        samples = self._sample()
        if samples is not None:
            batch = loader.batch(0)
            self.folder.save_grid(f"{self.name}-reals", batch.images[:64].permute(0, 2, 3, 1).contiguous().numpy())
            self.folder.save_grid(f"{self.name}-0", samples.images, samples.captions)

    def _note_enlarged(self) -> None:
        side = self.stage.plan.image_size
        middle = np.median(self.job.corpus.split("train").picture_sizes.min(1))
        if middle < side:
            self.job.reporter.note(f"Half the pictures or more are smaller than the {side} pixels of this stage (the "
                                   f"middle one has {middle:.0f}): they are enlarged, and no detail finer than theirs "
                                   "can be learnt.")

    def _validate(self) -> dict[str, float | None]:
        with self._evaluation("validate") as context:
            return without_nan({name: float(value) for name, value in
                                self.stage.validate(context, self.shown).items()})

    def _sample(self) -> Samples | None:
        with self._evaluation("sample") as context:
            return self.stage.sample(context, self.shown)

    def _components(self) -> Components:
        with self._evaluation("components"):
            return self.stage.components(self.shown)

    def _watch_collapse(self, samples: Samples) -> float:
        """Returns the spread of the samples. Raises TrainingStopped at the second tick of a collapse."""
        between, within = spread(samples.images)
        good = self._saved if self.state.alike_ticks == 0 else (self.folder.checkpoints(self.name)[:-1] or [None])[-1]
        watch = CollapseWatch(self.state.alike_ticks)
        fault = watch.look(between, within, step=self.state.step, fraction=self.state.images / self.schedule.images)
        if fault:
            raise stop_for_collapse(fault, stage=self.name, images=self.state.images, last_good=good)
        self.state.alike_ticks = watch.ticks
        return between

    def _is_best(self) -> bool:
        """Whether the figures of this tick are the best so far; notes it."""
        name = self.schedule.best
        if not name:
            return False
        if name not in self.state.figures:
            raise LimnerError(f"stage {self.name!r} keeps the best checkpoint by {name!r}, but its validation gives "
                              f"{', '.join(self.state.figures) or 'no figures'}.")
        value = self.state.figures[name]
        better = value is not None and (self.state.best_value is None or value > self.state.best_value)
        if better:
            self.state.best_value, self.state.best_images = value, self.state.images
        return better

    def _means(self, processes: int) -> dict[str, float]:
        """Losses as means over the steps since the last tick (and over processes, if told their number)."""
        sums = mean_over_processes(self._totals, processes)
        return {name: value / self.state.loss_steps[name] for name, value in sums.items()}

    def _check(self, means: Mapping[str, float]) -> None:
        check_losses(means, stage=self.name, images=self.state.images, last_good=self._saved)

    def _check_weights(self) -> None:
        tensors, _ = checkpoint.collect(self.stage, self.averages.modules, {})
        bad = checkpoint.first_not_finite(tensors)
        if bad:
            raise stop_for_weights(bad, stage=self.name, images=self.state.images, last_good=self._saved)

    def _rate(self) -> float:
        return self.state.tick_images / max(self.state.tick_seconds, 1e-9)

    def _take_time(self, *, stepping: bool) -> float:
        """Adds the time since the last call to the total, and to that of the steps."""
        now = time.perf_counter()
        self.state.seconds += now - self._clock
        if stepping:
            self.state.tick_seconds += now - self._clock
        self._clock = now
        return now

    def _context(self, phase: str) -> LoopContext:
        return LoopContext(self.fabric, self.job.settings.seed, self.name, self.state.step, self.state.images,
                           self.schedule.images, phase, self._recorder if phase == "step" else None)

    @contextlib.contextmanager
    def _evaluation(self, phase: str) -> Iterator[LoopContext]:
        """Within, the shown modules are in evaluation mode and no gradients are recorded."""
        context = self._context(phase)
        context.seed_global_generators()
        modes = [(part, part.training) for module in self.shown.values() for part in module.modules()]
        for module in self.shown.values():
            module.eval()
        try:
            with torch.no_grad():
                yield context
        finally:
            for part, mode in modes:
                part.training = mode


def _memory(device: torch.device) -> int | None:
    """Peak memory in MiB: of the GPU, else of the process; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
