"""Painters: trained systems that turn captions into paintings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import torch
from PIL import Image

import limner
from limner.config import from_json, to_json
from limner.errors import LimnerError
from limner.painting.bundle import describe, find
from limner.painting.card import model_card
from limner.painting.painting import Model, Painting
from limner.painting.requests import check_inputs, checked_caption, checked_seeds
from limner.precision import PRECISIONS, Precision, resolve_precision
from limner.systems import get_system
from limner.systems.protocol import Picture, Request, System, SystemPainter
from limner.systems.rows import ROWS
from limner.training.bundle_folder import BundleFolder, read_bundle, write_bundle
from limner.training.stage import Components


def load(name: str | Path, *, device: str | None = None, precision: Precision = "32") -> Painter:
    """Loads a painter by the name of a packaged bundle, or from the folder of a bundle or of a run.

    ``device`` is cpu, cuda, cuda:1, mps ...; None takes a GPU if there is one. ``precision`` is 32, bf16 (faster on
    some processors and GPUs; pixels differ a little) or auto (bf16 where it is faster). Raises LimnerError.
    """
    return Painter.from_pretrained(find(name), device=device, precision=precision)


class Painter:
    """A trained system, ready to paint.

    Picture ``index`` of ``seed`` has the same pixels alone, in any company and after a reload (on one kind of device).

        painter = limner.load("faces-attngan")
        painting = painter("a small red ring", seed=7)
    """

    def __init__(self, system: System, config: Any, painter: SystemPainter, *, info: dict[str, Any] | None = None,
                 name: str = "", hash: str = "", device: torch.device | None = None,
                 precision: Precision = "32") -> None:
        """Puts a painter together from its parts; ``load`` is the usual way to one."""
        self.system = system
        self.config = config
        self.info = dict(info or {})
        self.model = Model(name or str(self.info.get("name") or system.name), system.name, hash)
        self.device = device or torch.device("cpu")
        if precision not in PRECISIONS:
            raise LimnerError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
        self.precision = resolve_precision(precision, self.device.type)
        self._painter = painter.to(self.device)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | None = None, precision: Precision = "32"
                        ) -> Painter:
        """Reads a bundle folder (or the painter of a run folder).

        Raises LimnerError: a missing or damaged file, another format, an unknown system, a configuration with a bad
        value, or weights that do not fit the configuration.
        """
        folder = find(Path(folder))
        target = chosen_device(device)
        bundle = describe(folder)
        content = read_bundle(folder)
        system = get_system(content.system)
        config = from_json(system.config_type, content.config, where=f"{folder / 'config.json'}: config")
        painter = _built(system, config, content.components, folder)
        return cls(system, config, painter, info=content.info, name=bundle.name, hash=bundle.hash, device=target,
                   precision=precision)

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> Path:
        """Writes a bundle folder with a model card; ``half`` stores float16 weights. Returns the folder."""
        folder = Path(folder)
        if folder.exists() and not (folder / "config.json").is_file() and any(folder.iterdir()):
            raise LimnerError(f"{folder} is there and holds no painter: choose a new folder, or empty this one.")
        info = {**self.info, "name": self.info.get("name") or folder.resolve().name, "limner": limner.__version__}
        content = BundleFolder(self.system.name, to_json(self.config), self.components, info)
        write_bundle(folder, content, half=half, texts={"README.md": model_card(self.system, info)})
        return folder

    @property
    def components(self) -> Components:
        """The trained weights and the vocabularies."""
        return self._painter.components()

    def to(self, device: str) -> Painter:
        """Moves the painter to a device (cpu, cuda, mps ...) and returns it."""
        self.device = chosen_device(device)
        self._painter = self._painter.to(self.device)
        return self

    @overload
    def __call__(self, captions: str, *, seed: int = 0, images_per_caption: Literal[1] = 1, **inputs: Any
                 ) -> Painting: ...

    @overload
    def __call__(self, captions: str | Sequence[str], *, seed: int | Sequence[int] = 0, images_per_caption: int = 1,
                 **inputs: Any) -> list[Painting]: ...

    def __call__(self, captions: str | Sequence[str], *, seed: int | Sequence[int] = 0, images_per_caption: int = 1,
                 **inputs: Any) -> Painting | list[Painting]:
        """Paints.

        Args:
            captions: one caption, or a list.
            seed: one seed, or a list of seeds, each of which paints every caption.
            images_per_caption: N pictures a caption and seed; picture i draws its noise from the address (seed, i).
            inputs: extra inputs that the system honours (see ``painter.system.inputs``), the same for all captions.

        Returns:
            One ``Painting`` for one caption as a string with one seed and one image; a list of them otherwise: caption
            by caption, for each seed by seed, for each index by index.

        Raises:
            LimnerError: an empty caption, a control character, a bad seed, an input that the system does not take.
        """
        if isinstance(images_per_caption, bool) or not isinstance(images_per_caption, int) or images_per_caption < 1:
            raise LimnerError(f"images_per_caption must be a whole number from 1 up, got {images_per_caption!r}.")
        seeds = checked_seeds(seed)
        requests = [Request(caption, one, index, inputs)
                    for caption in ([captions] if isinstance(captions, str) else captions)
                    for one in seeds for index in range(images_per_caption)]
        paintings = list(self.paint(requests))
        single = isinstance(captions, str) and isinstance(seed, int) and images_per_caption == 1
        return paintings[0] if single else paintings

    def paint(self, requests: Sequence[Request]) -> Iterator[Painting]:
        """Paints requests of any mixture of captions, seeds, indices and inputs; yields as each batch is ready.

        All requests are checked before the first is painted. Raises LimnerError as a call does.
        """
        jobs = self._checked(requests)
        return self._painted(jobs)

    def _painted(self, jobs: list[tuple[Request, list[str]]]) -> Iterator[Painting]:
        for start in range(0, len(jobs), ROWS):
            share = jobs[start : start + ROWS]
            with self._autocast():
                pictures = self._painter.paint([request for request, _ in share])
            for (request, warnings), picture in zip(share, pictures, strict=True):
                yield self._painting(request, picture, warnings)

    def stream(self, caption: str, *, seed: int = 0, index: int = 0, **inputs: Any) -> Iterator[Painting]:
        """The painting as it grows; the last frame is the painting of ``__call__``. One-pass systems give one frame."""
        [(request, warnings)] = self._checked([Request(caption, seed, index, inputs)])
        return self._streamed(request, warnings)

    def _streamed(self, request: Request, warnings: list[str]) -> Iterator[Painting]:
        frames = self._painter.stream(request)
        while True:
            with self._autocast():  # and not in between, where the caller computes
                picture = next(frames, None)
            if picture is None:
                return
            yield self._painting(request, picture, warnings)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _checked(self, requests: Sequence[Request]) -> list[tuple[Request, list[str]]]:
        """The requests as they will be painted, and what to warn of."""
        known: dict[tuple[str, int], tuple[str, list[str]]] = {}
        jobs = []
        for request in requests:
            check_inputs(self.system, request.inputs)
            checked_seeds(request.seed)
            key = request.caption, id(request.inputs)  # many requests share both
            if key not in known:
                text, warnings = checked_caption(request.caption)
                known[key] = text, [*warnings, *self._painter.warnings(dataclasses.replace(request, caption=text))]
            text, warnings = known[key]
            jobs.append((dataclasses.replace(request, caption=text), warnings))
        return jobs

    def _painting(self, request: Request, picture: Picture, warnings: list[str]) -> Painting:
        return Painting(
            image=Image.fromarray(picture.image),
            caption=request.caption,
            seed=request.seed,
            index=request.index,
            model=self.model,
            inputs=dict(request.inputs),
            settings={"device": self.device.type, "precision": self.precision},
            stages={name: Image.fromarray(stage) for name, stage in picture.stages.items()},
            warnings=tuple(warnings),
            **{name: picture.extras.get(name) for name in ("attention", "canvases", "scene")},
        )

    def __repr__(self) -> str:
        fields = len(dataclasses.fields(self.config))
        return f"Painter({self.model.name!r}, system={self.system.name!r}, {fields} settings, device={self.device})"


def chosen_device(name: str | None) -> torch.device:
    """The device of that name, or the best there is. Raises LimnerError if it is not there."""
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise LimnerError(f"there is no device {name!r} here. Leave --device out to take what there is.") from None
    return device


def _built(system: System, config: Any, components: Components, folder: Path) -> SystemPainter:
    try:
        return system.build_painter(config, components)
    except LimnerError:
        raise
    except KeyError as error:
        there = ", ".join((*components.weights, *components.assets)) or "nothing"
        raise LimnerError(f"the bundle {folder} lacks the part {error} that {system.name} needs; "
                          f"it holds {there}.") from error
    except RuntimeError as error:  # torch's word for tensors that do not fit a module
        reason = " ".join(str(error).split()[:60])
        raise LimnerError(f"the weights in {folder} do not fit its configuration: {reason}") from error
