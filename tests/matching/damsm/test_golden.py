"""DAMSM against the reference vectors of the authors' code."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.golden.attngan import reference as ref
from torch import Tensor, nn

from limner.data.batch import Batch
from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.interop.attngan import image_encoder_name, text_encoder_name
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText, Sharpness
from limner.matching.damsm.image_encoder import InceptionRegions
from limner.matching.damsm.losses import (
    matching_losses,
    region_contexts,
    region_shares,
    same_class,
    sentence_scores,
    word_scores,
)
from limner.matching.damsm.stage import DamsmStage
from limner.matching.damsm.text_encoder import WordEncoder, padding_of
from limner.matching.damsm.vocabulary import Vocabulary
from limner.nn.conditioning import kl_divergence
from limner.training.schedule import Schedule

TEXT = DamsmText(word_size=20, dropout=0.5, length=12)


def _encoder(name: str, prefix: str, text: DamsmText = TEXT) -> WordEncoder:
    encoder = WordEncoder(text, 30, 16)
    ref.load(encoder, ref.state(name, prefix, text_encoder_name))
    return encoder


def test_the_text_encoder_gives_the_authors_words_and_sentences() -> None:
    encoder = _encoder("text_encoder", "sd/").eval()
    tokens, lengths = ref.tensor("text_encoder", "captions"), ref.tensor("text_encoder", "cap_lens")
    words, sentences = encoder(tokens[:, :9], lengths)
    ref.close(words, ref.tensor("text_encoder", "eval_words_emb"), 2e-6)
    ref.close(sentences, ref.tensor("text_encoder", "eval_sent_emb"), 2e-6)
    alone, sentence = encoder(tokens[3:4, :4], lengths[3:4])
    ref.close(alone, ref.tensor("text_encoder", "eval_b1_words_emb"), 2e-6)
    ref.close(sentence, ref.tensor("text_encoder", "eval_b1_sent_emb"), 2e-6)
    backwards = torch.arange(4, -1, -1)  # any order of lengths
    ref.close(encoder(tokens[backwards, :9], lengths[backwards])[1], sentences[backwards], 2e-6)


class _Times(nn.Module):
    """Dropout with the authors' draw."""

    def forward(self, x: Tensor) -> Tensor:
        return x * ref.tensor("text_encoder", "train_dropout_multiplier")[:, : x.shape[1]]


def test_the_text_encoder_has_the_authors_gradients() -> None:
    encoder = _encoder("text_encoder", "sd/")
    encoder.dropout = _Times()  # type: ignore[assignment]
    words, sentences = encoder(ref.tensor("text_encoder", "captions")[:, :9], ref.tensor("text_encoder", "cap_lens"))
    ref.close(words, ref.tensor("text_encoder", "train_words_emb"), 2e-6)
    ref.close(sentences, ref.tensor("text_encoder", "train_sent_emb"), 2e-6)
    loss = ((words * ref.tensor("text_encoder", "train_grad_coeff_words")).sum()
            + (sentences * ref.tensor("text_encoder", "train_grad_coeff_sent")).sum())
    loss.backward()
    for name, theirs in ref.state("text_encoder", "train_grad/", text_encoder_name).items():
        ref.close(encoder.get_parameter(name).grad, theirs, 1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("gamma", [4, 5])
def test_words_attend_to_the_authors_regions(gamma: int) -> None:
    words, regions = ref.tensor("attention", "func_query"), ref.tensor("attention", "func_context")
    _, shares = region_shares(words, torch.zeros(3, 5, dtype=torch.bool), regions.flatten(2), gamma)
    contexts = region_contexts(shares, regions.flatten(2))
    own = torch.arange(3)
    ref.close(contexts[own, own].transpose(1, 2), ref.tensor("attention", f"func_ctx_g{gamma}"), 3e-6)
    ref.close(shares[own, own].unflatten(2, (4, 3)), ref.tensor("attention", f"func_attn_g{gamma}"), 3e-6)


@pytest.mark.parametrize("group", ["code_masked", "code_nomask", "paper_masked"])
def test_the_losses_and_their_gradients_are_the_authors(group: str) -> None:
    names = ("region_features", "words_emb", "cnn_code", "sent_emb")
    regions, words, images, sentences = (ref.tensor("damsm_losses", name).requires_grad_() for name in names)
    padding = padding_of(ref.tensor("damsm_losses", "cap_lens"), 7)
    labels = ref.tensor("damsm_losses", "class_ids") if group.endswith("masked") else None
    sharpness = Sharpness(regions=5.0 if group.startswith("paper") else 4.0)
    losses = matching_losses(words, sentences, padding, regions, images, sharpness=sharpness, labels=labels)
    for ours, name in zip(losses, ("w_loss0", "w_loss1", "s_loss0", "s_loss1"), strict=True):
        ref.close(ours, ref.tensor("damsm_losses", f"{group}/{name}"), 3e-6)
    excluded = same_class(labels)
    for scores, name in ((word_scores(words, padding, regions.flatten(2), sharpness), "w_logits"),
                         (sentence_scores(sentences, images, sharpness), "s_logits")):
        shown = scores if excluded is None else scores.masked_fill(excluded, -torch.inf)
        ref.close(shown, ref.tensor("damsm_losses", f"{group}/{name}"), 3e-6)
    losses.total.backward()
    stored = ref.arrays("damsm_losses")
    for name, ours in zip(names, (regions, words, images, sentences), strict=True):
        if f"{group}/grad_{name}" in stored:
            ref.close(ours.grad, ref.tensor("damsm_losses", f"{group}/grad_{name}"), 2e-5)  # type: ignore[arg-type]
    if group == "code_masked":
        _, shares = region_shares(words, padding, regions.flatten(2), 4.0)
        for row, count in enumerate(ref.tensor("damsm_losses", "cap_lens").tolist()):
            ref.close(shares[row, row, :count].unflatten(1, (17, 17))[None],
                      ref.tensor("damsm_losses", f"{group}/att_map_{row}"), 3e-6)


def test_divergence_and_cosine_are_the_authors() -> None:
    mean, spread = (ref.tensor("damsm_losses", name).requires_grad_() for name in ("kl_mu", "kl_logvar"))
    divergence = kl_divergence(mean, spread)
    divergence.backward()
    ref.close(divergence, ref.tensor("damsm_losses", "kl_value"), 1e-6)
    ref.close(mean.grad, ref.tensor("damsm_losses", "kl_grad_mu"), 1e-6)  # type: ignore[arg-type]
    ref.close(spread.grad, ref.tensor("damsm_losses", "kl_grad_logvar"), 1e-6)  # type: ignore[arg-type]
    scores = sentence_scores(ref.tensor("damsm_losses", "cos_x2"), ref.tensor("damsm_losses", "cos_x1"),
                             Sharpness(pairs=1.0))
    ref.close(scores.diagonal(), ref.tensor("damsm_losses", "cos_value"), 1e-6)


def _procedural(trunk: nn.Module) -> None:
    """The stand-in weights of the reference: every tensor is drawn from its name."""
    values = {}
    for name, like in trunk.state_dict().items():
        if name.endswith("num_batches_tracked"):
            values[name] = torch.tensor(0)
            continue
        random = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
        n = random.standard_normal(like.numel()).reshape(tuple(like.shape))
        if name.endswith("conv.weight"):
            n = n * np.sqrt(2 / np.prod(like.shape[1:]))
        elif name.endswith("bn.weight"):
            n = 1 + 0.1 * n
        elif name.endswith("running_var"):
            n = np.exp(0.2 * n)
        else:
            n = 0.1 * n
        values[name] = torch.from_numpy(n.astype(np.float32))
    trunk.load_state_dict(values)


@pytest.fixture(scope="module")
def trunk_state() -> dict[str, Tensor]:
    encoder = InceptionRegions(16, align_corners=True)
    _procedural(encoder.trunk)
    return encoder.trunk.state_dict()


def _image_encoder(trunk_state: dict[str, Tensor], name: str, prefix: str, *, align_corners: bool) -> InceptionRegions:
    encoder = InceptionRegions(16, align_corners=align_corners)
    encoder.load_state_dict({f"trunk.{key}": value.clone() for key, value in trunk_state.items()}
                            | {key: value for key, value in ref.state(name, prefix, image_encoder_name).items()
                               if key.startswith("to_")})
    return encoder


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_image_encoder_gives_the_authors_regions(align_corners: bool, trunk_state: dict[str, Tensor]) -> None:
    encoder = _image_encoder(trunk_state, "image_encoder", "sd/", align_corners=align_corners).eval()
    group = f"eval_ac{int(align_corners)}"
    probes: dict[str, Tensor] = {}
    for key in ref.arrays("image_encoder"):
        if key.startswith(f"{group}/probe/"):
            name = key.rsplit("/", 1)[1]
            encoder.trunk.get_submodule(name).register_forward_hook(
                lambda module, inputs, output, name=name: probes.__setitem__(name, output.detach().clone()))
    images = ref.tensor("image_encoder", "image_uint8").requires_grad_(align_corners)
    regions, vectors = encoder(images)
    ref.close(regions, ref.tensor("image_encoder", f"{group}/features"), 5e-6)
    ref.close(vectors, ref.tensor("image_encoder", f"{group}/cnn_code"), 5e-6)
    for name, output in probes.items():
        ours = torch.cat([torch.stack([output.mean(), output.std()]), output[0].flatten()[:6]])
        ref.close(ours, ref.tensor("image_encoder", f"{group}/probe/{name}"), 2e-5)
    if align_corners:
        loss = ((regions * ref.tensor("image_encoder", "coeff_features")).mean()
                + (vectors * ref.tensor("image_encoder", "coeff_code")).mean())
        loss.backward()
        assert images.grad is not None
        blocks = images.grad.unflatten(3, (8, 32)).unflatten(2, (8, 32)).sum((3, 5))
        # of the whole, not of the largest entry: which of two nearly equal neighbours a maximum takes, and so where its
        # gradient goes, depends on the processor (7e-7 of the largest entry with AVX-512, 3.05e-3 with AVX2)
        theirs = ref.tensor("image_encoder", "eval_ac1/grad_image_8x8")
        assert (blocks - theirs).norm() <= 2.5e-3 * theirs.norm()


def test_the_image_encoder_in_training_uses_and_follows_the_batch(trunk_state: dict[str, Tensor]) -> None:
    encoder = _image_encoder(trunk_state, "image_encoder", "sd/", align_corners=True).train()
    regions, vectors = encoder(ref.tensor("image_encoder", "image_uint8"))
    # batch statistics of two pictures magnify rounding: the stored vectors are 1.5e-4 from those of float64
    ref.close(regions, ref.tensor("image_encoder", "train/features"), 1e-4)
    ref.close(vectors, ref.tensor("image_encoder", "train/cnn_code"), 1e-4)
    ((regions * ref.tensor("image_encoder", "coeff_features")).mean()
     + (vectors * ref.tensor("image_encoder", "coeff_code")).mean()).backward()
    for name, theirs in ref.state("image_encoder", "train/grad/", image_encoder_name).items():
        ref.close(encoder.get_parameter(name).grad, theirs, 1e-4)  # type: ignore[arg-type]
    assert all(parameter.grad is None for parameter in encoder.trunk.parameters())
    for name, theirs in ref.state("image_encoder", "train/buf_after/", image_encoder_name).items():
        ref.close(encoder.get_buffer(name), theirs, 1e-4)


class _Loop:
    """The loop's side of two steps on the CPU."""

    device = torch.device("cpu")
    fraction = 0.0

    def __init__(self, step: int) -> None:
        self.step = step

    def autocast(self) -> nullcontext[None]:
        return nullcontext()

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        return torch.zeros(rows, *shape)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def _stage(config: DamsmConfig) -> DamsmStage:
    """The real stage over captions in which word i of the reference is called w<i>."""
    captions = [" ".join(f"w{i}" for row, count in zip(*_captions(step), strict=True) for i in row[:count])
                for step in (0, 1)]
    records = [Record(f"{i}.png", [text], label=str(i)) for i, text in enumerate(captions)]
    pictures = PictureSet.from_arrays(np.zeros((2, 16, 16, 3), np.uint8), records)
    return DamsmStage(config, Corpus({"train": pictures}), 0)


def _captions(step: int) -> Iterator[list[list[int]]]:
    yield ref.arrays("damsm_step")[f"b{step}/captions"][:, :, 0].tolist()
    yield ref.arrays("damsm_step")[f"b{step}/cap_lens"].tolist()


def test_two_steps_of_the_stage_are_the_authors(trunk_state: dict[str, Tensor], tmp_path: Path) -> None:
    from limner.training.tensors import save_tensors

    save_tensors(tmp_path / "trunk.safetensors", trunk_state)
    config = DamsmConfig(schedule=Schedule(images=6), embedding=16, batch_size=3, recipe="paper", image_size=299,
                         text=DamsmText(word_size=20, dropout=0.0, length=12),
                         image=DamsmImage(architecture="inception", weights=str(tmp_path / "trunk.safetensors"),
                                          align_corners=True))
    stage = _stage(config)
    stage.pictures.records.extend(stage.pictures.records * 5)  # an epoch of several steps
    stage.text_encoder = stage.modules["text_encoder"] = _encoder("damsm_step", "init/text/", config.text)  # type: ignore[index]
    stage.image_encoder.load_state_dict(
        {name: value for name, value in ref.state("damsm_step", "init/image/", image_encoder_name).items()
         if name.startswith("to_")}, strict=False)
    stage.optimisers["damsm"] = stage.optimiser = stage._build_optimiser()
    for step in (0, 1):
        tokens, lengths = _captions(step)
        stage.captions.tokens, stage.captions._lengths = np.array(tokens), np.array(lengths)
        batch = Batch(indices=torch.arange(3), images=torch.from_numpy(ref.arrays("damsm_step")[f"b{step}/image299"]),
                      captions=torch.arange(3)[:, None], labels=ref.tensor("damsm_step", f"b{step}/class_ids"))
        losses = stage.step(batch, _Loop(step))  # type: ignore[arg-type]
        ours = torch.stack([losses[name] for name in ("words_of_image", "image_of_words", "sentence_of_image",
                                                      "image_of_sentence")])
        ref.close(ours, ref.tensor("damsm_step", "losses_w0_w1_s0_s1")[step], 2e-4)  # rounding as above
    for module, part, name_of in ((stage.text_encoder, "text", text_encoder_name),
                                  (stage.image_encoder, "image", image_encoder_name)):
        values = module.state_dict()
        for name, theirs in ref.state("damsm_step", f"final/{part}/", name_of).items():
            if ".bn." in name:
                ref.close(values[name], theirs, 1e-4)
                continue
            difference = (ref.chosen(values[name]).flatten() - theirs.flatten()).abs()
            assert (difference > 2e-5).float().mean() < 0.005, name  # Adam's first steps are the gradient's sign


def test_words_are_the_authors() -> None:
    import json

    facts = json.loads((ref.HERE / "data_text.json").read_text())
    words = facts["ixtoword"]
    vocabulary = Vocabulary(tuple(words[str(i)] for i in range(1, len(words))), ascii=True)
    lines = [line for text in facts["text_files"] for line in text.split("\n") if any(c.isalnum() for c in line)]
    kept = [line for line in lines if line != "unused fourth line"]
    theirs = facts["train_captions"] + facts["test_captions"]
    assert [vocabulary.read(line) for line in kept[: len(theirs)]] == theirs
