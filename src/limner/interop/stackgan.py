"""The authors' StackGAN checkpoints of PyTorch (``netG_epoch_*.pth``, ``netD_epoch_last.pth``) to our state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.interop.char_cnn_rnn import import_char_cnn_rnn
from limner.interop.official_weights import fitted
from limner.interop.torch_checkpoint import read_torch_checkpoint
from limner.matching.config import MatchingConfig
from limner.painting.painter import Painter
from limner.systems.stackgan import SYSTEM
from limner.systems.stackgan.config import EmbeddingFile, GanTraining, Networks, StackGanConfig
from limner.systems.stackgan.networks import Discriminator, RefinementGenerator, SketchGenerator
from limner.systems.stackgan.painter import StackGanPainter
from limner.text.characters import CharacterTokeniser
from limner.training.schedule import Schedule
from limner.training.stage import Components

Kind = Literal["sketch", "refinement", "discriminator"]
_NETWORKS: dict[Kind, type[nn.Module]] = {"sketch": SketchGenerator, "refinement": RefinementGenerator,
                                          "discriminator": Discriminator}
_SKETCH_PREFIX = "STAGE1_G."
_COMMON = {r"ca_net\.fc": "augmentation.linear", r"img\.0": "to_rgb"}
_NAMES: dict[Kind, dict[str, str]] = {
    "sketch": {**_COMMON, r"fc\.0": "start", r"fc\.1": "start_norm"},
    "refinement": {
        **_COMMON, r"encoder\.0": "encode1", r"encoder\.2": "encode2", r"encoder\.3": "encode2_norm",
        r"encoder\.5": "encode3", r"encoder\.6": "encode3_norm", r"hr_joint\.0": "joint", r"hr_joint\.1": "joint_norm",
        r"residual\.(\d+)\.block\.0": r"blocks.\1.convolution1", r"residual\.(\d+)\.block\.1": r"blocks.\1.norm1",
        r"residual\.(\d+)\.block\.3": r"blocks.\1.convolution2", r"residual\.(\d+)\.block\.4": r"blocks.\1.norm2",
    },
    "discriminator": {
        r"encode_img\.0": "first", r"get_cond_logits\.outlogits\.0": "joint.0",
        r"get_cond_logits\.outlogits\.1": "joint.1", r"get_cond_logits\.outlogits\.3": "score",
        r"get_uncond_logits\.outlogits\.0": "score_alone",
    },
}  # fmt: skip


@dataclass(frozen=True)
class ImportedNetwork:
    """A network from a checkpoint."""

    kind: Kind
    settings: dict[str, Any]
    """Arguments of the network, read off the shapes in the file."""
    state: dict[str, Tensor]
    """Complete state, float32, for a strict ``load_state_dict``."""

    def build(self) -> nn.Module:
        """The network with its weights."""
        network = _NETWORKS[self.kind](**self.settings)
        network.load_state_dict(self.state)
        return network


def import_stackgan(path: Path) -> dict[Kind, ImportedNetwork]:
    """Read a generator or a discriminator of the official PyTorch code, of any widths, without running the file.

    A generator of Stage II holds the one of Stage I as well, so it gives both ``sketch`` and ``refinement``. Files of
    2017 lack the counts of batches, which become 0.

    Raises:
        LimnerError: no checkpoint of tensors, or another network than the official ones; the message says why.
    """
    content = read_torch_checkpoint(path)
    return convert(content, str(path))


def convert(content: Mapping[str, Tensor], where: str) -> dict[Kind, ImportedNetwork]:
    """Like ``import_stackgan``, of tensors that are read already; ``where`` names them in errors."""
    if "encode_img.0.weight" in content:
        return {"discriminator": _network("discriminator", content, where)}
    if "encoder.0.weight" not in content:
        return {"sketch": _network("sketch", content, where)}
    inner = {name.removeprefix(_SKETCH_PREFIX): value for name, value in content.items()
             if name.startswith(_SKETCH_PREFIX)}
    outer = {name: value for name, value in content.items() if not name.startswith(_SKETCH_PREFIX)}
    sketch = _network("sketch", inner, f"{where}, {_SKETCH_PREFIX}*")
    return {"sketch": sketch, "refinement": _network("refinement", outer, where)}


def _network(kind: Kind, content: Mapping[str, Tensor], where: str) -> ImportedNetwork:
    state = {}
    for name, value in content.items():
        module, _, field = name.rpartition(".")
        ours = f"{our_name(kind, module, content, where)}.{field}"
        state[ours] = value.float() if value.is_floating_point() else value
    try:
        settings = _SETTINGS[kind](state)
        with torch.device("meta"):
            expected = _NETWORKS[kind](**settings).state_dict()
    except KeyError as error:
        raise LimnerError(f"{where} is not an official StackGAN {kind}: it lacks {error}.") from None
    except (IndexError, ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        raise LimnerError(f"{where} is not an official StackGAN {kind}: its shapes make no such network "
                          f"({error}).") from None
    return ImportedNetwork(kind, settings, fitted(state, expected, f"{where}, a StackGAN {kind},"))


def our_name(kind: Kind, module: str, content: Mapping[str, Tensor], where: str) -> str:
    """Our name of an official module. Raises LimnerError for a module that the network does not have."""
    for pattern, ours in _NAMES[kind].items():
        found = re.fullmatch(pattern, module)
        if found:
            return found.expand(ours)
    up = re.fullmatch(r"upsample(\d+)\.([12])", module)
    if up and kind != "discriminator":
        return f"ups.{int(up[1]) - 1}.{'convolution' if up[2] == '1' else 'norm'}"
    down = re.fullmatch(r"encode_img\.(\d+)", module)
    if down and kind == "discriminator" and int(down[1]) % 3 != 1:  # 2, 5, 8 ... with normalisation at 3, 6, 9 ...
        block = (int(down[1]) - 2) // 3
        strided = 0
        while _kernel(content, 2 + 3 * strided) == 4:
            strided += 1
        place = f"downs.{block}" if block < strided else f"reductions.{block - strided}"
        return f"{place}.{(int(down[1]) - 2) % 3}"
    raise LimnerError(f"{where} holds {module}, which an official StackGAN {kind} does not have.")


def _kernel(content: Mapping[str, Tensor], position: int) -> int:
    weight = content.get(f"encode_img.{position}.weight")
    return 0 if weight is None or weight.ndim != 4 else weight.shape[-1]


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({found[0] for name in state if (found := re.match(pattern, name))})


def _augmentation_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    weight = state["augmentation.linear.weight"]
    return {"text_size": weight.shape[1], "condition_size": len(weight) // 2}


def _sketch_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    sizes = _augmentation_sizes(state)
    rows, columns = state["start.weight"].shape
    return {**sizes, "noise_size": columns - sizes["condition_size"], "width": rows // 128,
            "image_size": 4 << _count(state, r"ups\.\d+\.")}


def _refinement_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The side of the sketch shows nowhere in the weights; the official one is 64."""
    return {**_augmentation_sizes(state), "width": len(state["encode1.weight"]), "sketch_size": 64,
            "image_size": 16 << _count(state, r"ups\.\d+\."), "residual_blocks": _count(state, r"blocks\.\d+\.")}


def _discriminator_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    joint = state["joint.0.weight"]
    return {"image_size": 8 << _count(state, r"downs\.\d+\."), "width": len(state["first.weight"]),
            "condition_size": joint.shape[1] - len(joint), "unconditional": "score_alone.weight" in state}


_SETTINGS = {"sketch": _sketch_settings, "refinement": _refinement_settings, "discriminator": _discriminator_settings}


def import_painter(generator: Path, *, text_encoder: Path | None = None, name: str = "") -> Painter:
    """A painter from the authors' files.

    Args:
        generator: ``netG_epoch_*.pth`` of Stage I or Stage II (PyTorch release).
        text_encoder: the released char-CNN-RNN checkpoint that its captions were embedded with (``.t7``). Without it
            the painter takes the input ``embedding`` in place of words.
        name: of the painter; empty for that of the file.

    Raises:
        LimnerError: files of other networks, or an encoder whose embeddings have another length.
    """
    networks = import_stackgan(generator)
    if "sketch" not in networks:
        raise LimnerError(f"{generator} is a discriminator; a painter needs netG_*.pth.")
    sizes = networks["sketch"].settings
    refinement = networks["refinement"].settings if "refinement" in networks else {}
    components = Components({kind: network.state for kind, network in networks.items()})
    text: MatchingConfig | EmbeddingFile = EmbeddingFile(folder="", embedding=sizes["text_size"])
    if text_encoder is None:
        components.weights["caption_embeddings"] = {"embeddings": torch.zeros(0, sizes["text_size"])}
        components.assets["captions"] = []
    else:
        imported = import_char_cnn_rnn(text_encoder)
        if imported.config.embedding != sizes["text_size"]:
            raise LimnerError(f"{text_encoder} makes embeddings of {imported.config.embedding} numbers; {generator} "
                              f"takes {sizes['text_size']}.")
        if imported.config.pattern.reads != "characters":
            raise LimnerError(f"{text_encoder} reads words, whose numbers stand in no file of StackGAN; "
                              "take a char-CNN-RNN.")
        text = MatchingConfig(text=imported.config, schedule=Schedule(images=1))
        components.weights["text_encoder"] = imported.state
        components.assets["tokeniser"] = CharacterTokeniser(length=imported.config.length).to_json()
    training = GanTraining(schedule=Schedule(images=1))
    widths = {"image_size": refinement["image_size"], "residual_blocks": refinement["residual_blocks"]} \
        if refinement else {}
    config = StackGanConfig(
        text=text, sketch=training, refinement=training,
        networks=Networks(sketch_size=sizes["image_size"], condition_size=sizes["condition_size"],
                          noise_size=sizes["noise_size"], generator_width=sizes["width"], **widths))
    info = {"name": name or Path(generator).stem, "data": "the authors' checkpoint", "licence": None}
    return Painter(SYSTEM, config, StackGanPainter(config, components), info=info)
