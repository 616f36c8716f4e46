"""The authors' AttnGAN checkpoints (``*.pth``) and ``captions.pickle`` to a painter, and Inception-v3 to our file.

The checkpoints hold plain state dicts. Their ids of words cannot be rebuilt from the captions, so a painter needs the
``captions.pickle`` that its text encoder was trained with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.files import sha256, written_atomically
from limner.interop.official_weights import fitted
from limner.interop.restricted_pickle import read_pickle
from limner.interop.torch_checkpoint import read_torch_checkpoint
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText
from limner.matching.damsm.image_encoder import InceptionRegions
from limner.matching.damsm.text_encoder import WordEncoder
from limner.matching.damsm.vocabulary import Vocabulary
from limner.systems.attngan.config import AttnGanConfig, GanConfig
from limner.systems.attngan.networks import Discriminator, Generator
from limner.training.schedule import Schedule
from limner.training.stage import Components
from limner.training.tensors import save_tensors
from limner.vision.inception import InceptionTrunk

_NONE_TRAINED = Schedule(images=1)
_OUTSIDE_TRUNK = ("fc.", "AuxLogits.")
_END = "<end>"

# the authors' names as patterns -> ours; numbers are filled in by the functions
_UP = {"1": "layer.convolution", "2": "layer.norm"}
_RESIDUAL = {"0": "gated.convolution", "1": "gated.norm", "3": "plain.convolution", "4": "plain.norm"}
_CODE_16 = {"0": "0.convolution", "2": "1.convolution", "3": "1.norm", "5": "2.convolution", "6": "2.norm",
            "8": "3.convolution", "9": "3.norm"}
_LAYER = {"0": "convolution", "1": "norm"}
_DOWNS = {"s32": "downs.4", "s32_1": "backs.0", "s64": "downs.5", "s64_1": "backs.0", "s64_2": "backs.1"}


def generator_name(name: str) -> str:
    """The name of a generator's tensor in ``Generator`` by its name in the authors' checkpoints."""
    stem, field = name.rsplit(".", 1)
    match stem.split("."):
        case ["ca_net", "fc"]:
            return f"conditioning.linear.{field}"
        case ["h_net1", "fc", "0" | "1" as part]:
            return f"first.{'linear' if part == '0' else 'norm'}.{field}"
        case ["h_net1", block, "1" | "2" as part] if re.fullmatch(r"upsample[1-4]", block):
            return f"first.ups.{int(block[-1]) - 1}.{_UP[part]}.{field}"
        case [image, "img", "0"] if re.fullmatch(r"img_net[1-3]?", image):
            return f"heads.{int(image[7:] or 1) - 1}.{field}"
        case ["h_net2" | "h_net3" as stage, "att", "conv_context"]:
            return f"refining.{int(stage[-1]) - 2}.attention.project.{field}"
        case ["h_net2" | "h_net3" as stage, "residual", number, "block", "0" | "1" | "3" | "4" as part]:
            return f"refining.{int(stage[-1]) - 2}.residuals.{number}.{_RESIDUAL[part]}.{field}"
        case ["h_net2" | "h_net3" as stage, "upsample", "1" | "2" as part]:
            return f"refining.{int(stage[-1]) - 2}.up.{_UP[part]}.{field}"
    raise LimnerError(f"AttnGAN's generator has no tensor {name!r}.")


def discriminator_name(name: str) -> str:
    """The name of a discriminator's tensor in ``Discriminator`` by its name in the authors' checkpoints."""
    stem, field = name.rsplit(".", 1)
    match stem.split("."):
        case ["img_code_s16", part] if part in _CODE_16:
            return f"downs.{_CODE_16[part]}.{field}"
        case [block, "0" | "1" as part] if block.removeprefix("img_code_") in _DOWNS:
            return f"{_DOWNS[block.removeprefix('img_code_')]}.{_LAYER[part]}.{field}"
        case ["COND_DNET", "jointConv", "0" | "1" as part]:
            return f"joint.{_LAYER[part]}.{field}"
        case ["COND_DNET", "outlogits", "0"]:
            return f"conditional.{field}"
        case ["UNCOND_DNET", "outlogits", "0"]:
            return f"unconditional.{field}"
    raise LimnerError(f"AttnGAN's discriminators have no tensor {name!r}.")


def text_encoder_name(name: str) -> str:
    """The name of a text encoder's tensor in ``WordEncoder``."""
    for theirs, ours in (("encoder.", "embedding."), ("rnn.", "recurrence.")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise LimnerError(f"AttnGAN's text encoder has no tensor {name!r}.")


def image_encoder_name(name: str) -> str:
    """The name of an image encoder's tensor in ``InceptionRegions``."""
    for theirs, ours in (("emb_features.", "to_regions."), ("emb_cnn_code.", "to_vector.")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return f"trunk.{name}"


def import_generator(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads ``netG*.pth``: the arguments of ``Generator``, told from the shapes, and its complete state.

    Files of forks that keep the state under ``netG`` are read too. The mask is the authors' (``official_mask``), since
    all published weights were trained with it.

    Raises:
        LimnerError: not such a checkpoint; the message names the tensor.
    """
    found = _checkpoint(path, "netG")
    state = _renamed(found, generator_name, path)
    conditions = _shape(state, "conditioning.linear.weight", path)[0] // 4
    heads = sum(name.startswith("heads.") for name in state)
    refining = sum(name.endswith("attention.project.weight") for name in state)
    settings: dict[str, Any] = {
        "sides": tuple(64 << i for i in range(1 + refining)),
        "text_size": _shape(state, "conditioning.linear.weight", path)[1],
        "noise_size": _shape(state, "first.linear.weight", path)[1] - conditions,
        "condition_size": conditions,
        "width": _shape(state, "heads.0.weight", path)[1],
        "residual_blocks": sum(bool(re.fullmatch(r"refining\.0\.residuals\.\d+\.gated\.convolution\.weight", name))
                               for name in state),
        "one_image": refining > 0 and heads == 1,
        "official_mask": True,
    }
    for name in state:
        if name.endswith("attention.project.weight"):
            state[name] = state[name].flatten(1)  # a 1x1 convolution there, a linear layer here
    return settings, _fitted(lambda: Generator(**settings), state, path)


def import_discriminator(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads ``netD*.pth``: the arguments of ``Discriminator`` and its complete state. Raises LimnerError."""
    state = _renamed(_checkpoint(path, "netD"), discriminator_name, path)
    width = _shape(state, "downs.0.convolution.weight", path)[0]
    settings: dict[str, Any] = {
        "side": 4 << sum(bool(re.fullmatch(r"downs\.\d\.convolution\.weight", name)) for name in state),
        "text_size": _shape(state, "joint.convolution.weight", path)[1] - 8 * width,
        "width": width,
        "unconditional": "unconditional.weight" in state,
    }
    return settings, _fitted(lambda: Discriminator(**settings), state, path)


def import_text_encoder(path: Path) -> tuple[DamsmText, int, int, dict[str, Tensor]]:
    """Reads ``text_encoder*.pth``: configuration, number of words, length D of the vectors, and state. Raises
    LimnerError."""
    state = _renamed(_checkpoint(path, "text_encoder"), text_encoder_name, path)
    words, word_size = _shape(state, "embedding.weight", path)
    hidden = _shape(state, "recurrence.weight_hh_l0", path)[1]
    gates = _shape(state, "recurrence.weight_hh_l0", path)[0] // hidden
    text = DamsmText(recurrence="lstm" if gates == 4 else "gru", word_size=word_size, ascii=True, all_splits=True)
    return text, words, 2 * hidden, _fitted(lambda: WordEncoder(text, words, 2 * hidden), state, path)


def import_image_encoder(path: Path) -> tuple[int, dict[str, Tensor]]:
    """Reads ``image_encoder*.pth``: length D of the vectors, and the state of ``InceptionRegions``. Raises LimnerError.
    """
    found = {name: value for name, value in _checkpoint(path, "image_encoder").items()
             if not name.startswith(_OUTSIDE_TRUNK)}
    state = _renamed(found, image_encoder_name, path)
    size = _shape(state, "to_vector.bias", path)[0]
    return size, _fitted(lambda: InceptionRegions(size, align_corners=True), state, path)


def import_vocabulary(path: Path) -> Vocabulary:
    """Reads the words of a ``captions.pickle``. Raises LimnerError for anything else."""
    content = read_pickle(path)
    if not isinstance(content, list) or len(content) != 4 or not isinstance(content[2], dict):
        raise LimnerError(f"{path} is not AttnGAN's captions.pickle: that is a list of two lists of captions and two "
                          "dictionaries of words.")
    words = content[2]
    if sorted(words) != list(range(len(words))) or words.get(0) != _END:
        raise LimnerError(f"{path} numbers its words otherwise than AttnGAN's captions.pickle: 0 must be {_END} and "
                          "the others follow without a gap.")
    return Vocabulary(tuple(words[i] for i in range(1, len(words))), ascii=True)


def import_attngan(*, generator: Path, text_encoder: Path, captions: Path, image_encoder: Path | None = None
                   ) -> tuple[AttnGanConfig, Components]:
    """The authors' trained AttnGAN as configuration and components of a painter.

    ``limner.systems.attngan.build_painter`` takes both; with ``image_encoder`` the components also serve a
    ``DamsmScorer``.

    Raises:
        LimnerError: a file is not what it should be, or the files do not belong together.
    """
    settings, generator_state = import_generator(generator)
    text, count, size, text_state = import_text_encoder(text_encoder)
    vocabulary = import_vocabulary(captions)
    if vocabulary.size != count:
        raise LimnerError(f"{text_encoder} knows {count} words and {captions} {vocabulary.size}: take the "
                          "captions.pickle that came with the encoder (5450 words for birds, 27297 for COCO); one that "
                          "was made anew numbers its words differently.")
    if settings["text_size"] != size:
        raise LimnerError(f"{generator} reads vectors of {settings['text_size']} numbers and {text_encoder} makes "
                          f"{size}: they are not of one training.")
    weights = {"generator": generator_state, "text_encoder": text_state}
    if image_encoder is not None:
        image_size, weights["image_encoder"] = import_image_encoder(image_encoder)
        if image_size != size:
            raise LimnerError(f"{image_encoder} makes vectors of {image_size} numbers and {text_encoder} of {size}: "
                              "they are not of one training.")
    damsm = DamsmConfig(schedule=_NONE_TRAINED, text=text, embedding=size, image_size=299,
                        image=DamsmImage(architecture="inception", align_corners=True), recipe="paper")
    names = ("noise_size", "condition_size", "residual_blocks", "official_mask")
    gan = GanConfig(schedule=_NONE_TRAINED, stages=len(settings["sides"]), base_size=settings["sides"][0],
                    generator_width=settings["width"], dcgan=settings["one_image"],
                    **{name: settings[name] for name in names})
    return AttnGanConfig(damsm=damsm, gan=gan), Components(weights, {"vocabulary": vocabulary.to_json()})


def convert_inception(path: Path, out: Path, *, checksum: str = "") -> Path:
    """Writes the trunk of a published ``inception_v3_google-*.pth`` as safetensors, for ``damsm.image.weights``.

    Args:
        path: the file, which you fetch yourself. Its name ends in the first digits of its SHA-256.
        out: the file to write.
        checksum: the SHA-256 that the file must have, or its first digits; by default those in its name, if there are
            any.

    Raises:
        LimnerError: another checksum, or not the weights of Inception-v3.
    """
    named = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    expected = checksum or (named.group(1) if named else "")
    found = read_torch_checkpoint(path)
    actual = sha256(path)
    if not actual.startswith(expected.lower()):
        raise LimnerError(f"{path} has the SHA-256 {actual}, expected {expected}...: fetch it again.")
    trunk = {name: value for name, value in found.items() if not name.startswith(_OUTSIDE_TRUNK)}
    with written_atomically(out) as place:
        save_tensors(place, _fitted(InceptionTrunk, trunk, path))
    return out


def _checkpoint(path: Path, key: str) -> dict[str, Tensor]:
    """The tensors at the top of a checkpoint, or under ``key``; a prefix ``module.`` is taken off."""
    try:
        found = read_torch_checkpoint(path)
    except LimnerError:
        try:
            found = read_torch_checkpoint(path, key=key)
        except LimnerError:
            found = None
        if found is None:
            raise
    return {name.removeprefix("module."): value.float() if value.is_floating_point() else value
            for name, value in found.items()}


def _renamed(found: Mapping[str, Tensor], name_of: Any, path: Path) -> dict[str, Tensor]:
    try:
        return {name_of(name): value for name, value in found.items()}
    except LimnerError as error:
        raise LimnerError(f"{path}: {error}") from None


def _shape(state: Mapping[str, Tensor], name: str, path: Path) -> torch.Size:
    if name not in state:
        raise LimnerError(f"{path} lacks the tensor that becomes {name}.")
    return state[name].shape


def _fitted(build: Callable[[], nn.Module], state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    with torch.device("meta"):
        network = build()
    return fitted(state, network.state_dict(), str(path))
