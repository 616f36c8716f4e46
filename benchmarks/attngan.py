"""AttnGAN at the widths of the birds: ours against a straight float32 port with the authors' passes. Prints JSON.

    python benchmarks/attngan.py [--threads 1] [--rounds 5] [--batch 4] [--memory] [--json FILE]

Three calls, on random pictures and captions of up to 18 words, with random weights:

- ``training``: a whole step of the adversarial stage (three sizes up to 256 px, ngf 32, ndf 64, Inception-v3 as the
  matching model), the average of the generator's weights included;
- ``painting``: text encoder and generator for one caption, 256 px;
- ``damsm``: a step of the matching stage with Inception-v3 at 299 px.

``ours`` is what ``limner train`` and ``limner paint`` run (bf16 channels-last in training where the processor computes
in it). ``straight`` is a plain port in PyTorch: float32, NCHW, eager, upsampling and convolution one after the other,
batch normalisation everywhere, one caption after the other in the word loss, gradients of the discriminators' weights
collected in the generator's step and thrown away, Adam as PyTorch takes it on the CPU by default.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from limner.config import to_json
from limner.data.batch import Batch, as_float
from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.matching.damsm.config import DamsmConfig
from limner.matching.damsm.image_encoder import InceptionRegions, build_region_encoder
from limner.matching.damsm.losses import same_class, sentence_scores
from limner.matching.damsm.stage import DamsmStage
from limner.matching.damsm.text_encoder import WordEncoder, padding_of
from limner.matching.damsm.vocabulary import Vocabulary
from limner.nn.conditioning import kl_divergence
from limner.precision import resolve_precision
from limner.systems.attngan.build import build_generator
from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.losses import Read, adversarial_loss, discriminator_loss
from limner.systems.attngan.networks import Discriminator, Generator, Painted, ResidualBlock, UpBlock
from limner.systems.attngan.painter import AttnGanPainter
from limner.systems.attngan.presets import attngan_birds, debug_form
from limner.systems.attngan.stage import AttnGanStage, pyramid
from limner.systems.protocol import Request
from limner.training.averaging import Averages
from limner.training.context import LoopContext
from limner.training.stage import Components, weights_of
from limner.training.tensors import save_tensors
from turns import by_turns, conditions, in_bf16, report

CAPTION = "this small bird has a bright red crown a white breast and a short pointed black beak"


def configuration(batch: int, *, smallest: bool) -> AttnGanConfig:
    """The birds' preset with another batch and without crops; ``smallest`` is its debug form, for tests."""
    config = debug_form(attngan_birds()) if smallest else attngan_birds()
    return replace(config, damsm=replace(config.damsm, batch_size=batch, scale_size=0),
                   gan=replace(config.gan, batch_size=batch, scale_size=0))


def corpus(count: int, side: int) -> Corpus:
    random = np.random.default_rng(0)
    words = CAPTION.split()
    records = [Record(f"{i}.png", [" ".join(random.permutation(words)[: 10 + i % 9])], label=str(i))
               for i in range(count)]
    images = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Corpus({"train": PictureSet.from_arrays(images, records)})


def matching_components(config: DamsmConfig) -> Components:
    """A matching model with random weights under which signals keep their size."""
    vocabulary = Vocabulary.from_captions([CAPTION])
    text = WordEncoder(config.text, vocabulary.size, config.embedding)
    image = build_region_encoder(config)
    for module in image.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return Components({"text_encoder": weights_of(text), "image_encoder": weights_of(image)},
                      {"vocabulary": vocabulary.to_json(), "damsm": to_json(config)})


def fabric() -> Fabric:
    precision = resolve_precision("auto", "cpu")
    return Fabric(accelerator="cpu", devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")


def up(block: UpBlock, x: Tensor) -> Tensor:
    layer = block.layer
    return functional.glu(layer.norm(layer.convolution(functional.interpolate(x, scale_factor=2))), dim=1)


def residual(block: ResidualBlock, x: Tensor) -> Tensor:
    return x + block.plain(functional.glu(block.gated(x), dim=1))


def straight_pictures(network: Generator, noise: Tensor, condition_noise: Tensor, sentences: Tensor, words: Tensor,
                      padding: Tensor) -> Painted:
    condition = network.conditioning(sentences, condition_noise)
    first = network.first
    x = functional.glu(first.norm(first.linear(torch.cat([condition.code, noise], dim=1))), dim=1)
    x = x.view(len(x), -1, 4, 4)
    for block in first.ups:
        x = up(block, x)
    maps = [x]
    for stage in network.refining:
        contexts, _ = stage.attention(x, words, padding)
        x = torch.cat([x, contexts], dim=1)
        for block in stage.residuals:
            x = residual(block, x)
        x = up(stage.up, x)
        maps.append(x)
    return Painted([torch.tanh(head(x)) for head, x in zip(network.heads, maps, strict=True)], [], condition)


def straight_matching(words: Tensor, sentences: Tensor, lengths: Tensor, regions: Tensor, vectors: Tensor,
                      labels: Tensor, config: DamsmConfig) -> Tensor:
    """DAMSM's loss, one caption after the other."""
    sharpness, rows, flat = config.sharpness, len(words), regions.flatten(2)
    columns = []
    for row, length in enumerate(lengths.tolist()):
        word = words[row : row + 1, :, :length].repeat(rows, 1, 1)
        shares = (flat.transpose(1, 2) @ word).softmax(2).transpose(1, 2)
        contexts = flat @ (sharpness.regions * shares).softmax(2).transpose(1, 2)
        similarity = functional.cosine_similarity(contexts, word, dim=1)
        columns.append((sharpness.words * similarity).exp().sum(1).log())
    excluded = same_class(labels)
    assert excluded is not None
    own, loss = torch.arange(rows), torch.zeros(())
    for scores in (sharpness.pairs * torch.stack(columns, 1), sentence_scores(sentences, vectors, sharpness)):
        masked = scores.masked_fill(excluded, -torch.inf)
        loss = loss + functional.cross_entropy(masked, own) + functional.cross_entropy(masked.T, own)
    return loss


class Matching:
    """The networks of a matching model in NCHW."""

    def __init__(self, config: DamsmConfig, components: Components) -> None:
        self.config = config
        vocabulary = Vocabulary.from_json(components.assets["vocabulary"])
        self.text = WordEncoder(config.text, vocabulary.size, config.embedding)
        self.image = build_region_encoder(config)
        self.text.load_state_dict(components.weights["text_encoder"])
        self.image.load_state_dict(components.weights["image_encoder"])

    def batch(self, batch: Batch, pictures: Corpus, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens and lengths by falling length, pictures and labels of a batch."""
        vocabulary = Vocabulary.from_captions([CAPTION])
        captions = [pictures.split("train").captions[i] for i in batch.captions[:, 0]]
        tokens, lengths = (torch.from_numpy(part) for part in vocabulary.table(captions))
        lengths, order = lengths.clamp(max=length).sort(descending=True)
        assert batch.labels is not None
        return tokens[order, : lengths[0]].long(), lengths, batch.images[order].contiguous(), batch.labels[order]


class StraightStep(Matching):
    """The adversarial step in plain PyTorch; see the top of this file."""

    def __init__(self, config: AttnGanConfig, components: Components, batch: Batch, pictures: Corpus) -> None:
        super().__init__(config.damsm, components)
        gan = config.gan
        self.gan, self.weight = gan, gan.matching_weight
        self.text.eval().requires_grad_(False)
        self.image.eval().requires_grad_(False)
        self.generator = build_generator(config)
        self.average = [p.detach().clone() for p in self.generator.parameters()]
        self.discriminators = [Discriminator(side=side, text_size=config.damsm.embedding,
                                             width=gan.discriminator_width) for side in gan.sides]
        self.adams = [torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
                      for network in (self.generator, *self.discriminators)]
        self.tokens, self.lengths, images, self.labels = self.batch(batch, pictures, gan.length)
        self.reals = [real.contiguous() for real in pyramid(images, gan.sides)]

    def __call__(self) -> None:
        rows = len(self.tokens)
        words, sentences = self.text(self.tokens, self.lengths)
        padding = padding_of(self.lengths, self.tokens.shape[1])
        painted = straight_pictures(self.generator, torch.randn(rows, self.gan.noise_size),
                                    torch.randn(rows, self.gan.condition_size), sentences, words, padding)
        text = Read(sentences, words, padding)
        for network, adam, real, fake in zip(self.discriminators, self.adams[1:], self.reals, painted.images,
                                             strict=True):
            network.zero_grad()
            discriminator_loss(network, real, fake.detach(), text).total.backward()
            adam.step()
        self.generator.zero_grad()
        loss = kl_divergence(painted.condition.mean, painted.condition.log_variance)
        for network, fake in zip(self.discriminators, painted.images, strict=True):
            loss = loss + adversarial_loss(network, fake, text)
        regions, vectors = self.image(painted.images[-1])
        loss = loss + self.weight * straight_matching(words, sentences, self.lengths, regions, vectors, self.labels,
                                                      self.config)
        loss.backward()
        self.adams[0].step()
        with torch.no_grad():
            for average, latest in zip(self.average, self.generator.parameters(), strict=True):
                average.mul_(0.999).add_(latest, alpha=0.001)


class StraightDamsm(Matching):
    """The step of the matching stage in plain PyTorch."""

    def __init__(self, config: DamsmConfig, components: Components, batch: Batch, pictures: Corpus) -> None:
        super().__init__(config, components)
        self.text.train()
        self.image.train()
        self.parameters = [*self.text.parameters(), *(p for p in self.image.parameters() if p.requires_grad)]
        self.adam = torch.optim.Adam(self.parameters, 2e-3, (0.5, 0.999))
        self.tokens, self.lengths, images, self.labels = self.batch(batch, pictures, config.text.length)
        self.images = as_float(images)

    def __call__(self) -> None:
        self.adam.zero_grad()
        words, sentences = self.text(self.tokens, self.lengths)
        regions, vectors = self.image(self.images)
        straight_matching(words, sentences, self.lengths, regions, vectors, self.labels, self.config).backward()
        nn.utils.clip_grad_norm_(self.text.parameters(), self.config.clip)
        self.adam.step()


def training_calls(config: AttnGanConfig, only: str = "") -> dict[str, Callable[[], object]]:
    pictures, components = corpus(2 * config.gan.batch_size, config.gan.image_size), matching_components(config.damsm)
    # weights as torch draws them: the authors' orthogonal ones take longer to draw than the steps to run
    with mock.patch("limner.systems.attngan.stage.initialise_attngan"):
        stage = AttnGanStage(config, pictures, components, 0)
    batch = Loader(pictures.split("train"), stage.plan, 0).batch(0)
    calls: dict[str, Callable[[], object]] = {}
    if only in ("", "straight"):
        calls["straight"] = StraightStep(config, components, batch, pictures)
    if only in ("", "ours"):
        averages, steps, lightning = Averages(stage.modules, stage.averaged, stage.schedule), 0, fabric()

        def ours() -> None:
            nonlocal steps
            stage.step(batch, LoopContext(lightning, 0, "gan", steps, steps * len(batch.indices), 10**6))
            steps += 1
            averages.update(len(batch.indices), steps * len(batch.indices))

        calls["ours"] = ours
    return calls


def painting_calls(config: AttnGanConfig) -> dict[str, Callable[[], object]]:
    components, gan = matching_components(config.damsm), config.gan
    generator = build_generator(config)
    components.weights["generator"] = weights_of(generator)
    straight, vocabulary = Matching(config.damsm, components), Vocabulary.from_captions([CAPTION])
    straight.text.eval()
    generator.eval()
    tokens, lengths = (torch.from_numpy(part) for part in vocabulary.table([CAPTION]))
    painter = AttnGanPainter(config, components)

    @torch.no_grad()
    def plain() -> None:
        words, sentences = straight.text(tokens.long(), lengths)
        straight_pictures(generator, torch.randn(1, gan.noise_size), torch.randn(1, gan.condition_size), sentences,
                          words, padding_of(lengths, tokens.shape[1]))

    requests = [Request(CAPTION, 0, 0)]
    return {"ours": lambda: painter.paint(requests), "ours, bf16": lambda: in_bf16(painter.paint, requests),
            "straight": plain}


def damsm_calls(config: DamsmConfig) -> dict[str, Callable[[], object]]:
    pictures, components = corpus(2 * config.batch_size, config.image_size), matching_components(config)
    with tempfile.TemporaryDirectory() as folder:
        if config.image.architecture == "inception":
            encoder = InceptionRegions(config.embedding, align_corners=True)
            encoder.load_state_dict(components.weights["image_encoder"])
            path = Path(folder) / "trunk.safetensors"
            save_tensors(path, weights_of(encoder.trunk))
            config = replace(config, image=replace(config.image, weights=str(path)))
        stage = DamsmStage(config, pictures, 0)
    batch, lightning = Loader(pictures.split("train"), stage.plan, 0).batch(0), fabric()
    for module in stage.modules.values():
        module.train()
    return {"ours": lambda: stage.step(batch, LoopContext(lightning, 0, "damsm", 1, 0, 10**6)),
            "straight": StraightDamsm(config, components, batch, pictures)}


def measured(calls: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Any]:
    seconds = by_turns(calls, rounds=rounds, warm_up=1)
    return {"seconds": {name: round(value, 4) for name, value in seconds.items()},
            "times as fast as straight": {name: round(seconds["straight"] / value, 2)
                                          for name, value in seconds.items()}}


def peaks(arguments: argparse.Namespace) -> dict[str, int]:
    """Largest memory of a process that takes two training steps of each kind, MiB."""
    found = {}
    for name in ("ours", "straight"):
        command = [sys.executable, __file__, "--peak-of", name, "--batch", str(arguments.batch),
                   "--threads", str(torch.get_num_threads()), *(["--smallest"] if arguments.smallest else [])]
        found[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that are counted")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--part", action="append", choices=["training", "painting", "damsm"], help="default: all")
    parser.add_argument("--memory", action="store_true", help="also the largest memory of a training process")
    parser.add_argument("--smallest", action="store_true", help="tiny networks, to try the benchmark itself")
    parser.add_argument("--peak-of", choices=["ours", "straight"], help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = configuration(arguments.batch, smallest=arguments.smallest)
    if arguments.peak_of:
        (call,) = training_calls(config, arguments.peak_of).values()
        call()
        call()
        # of this program alone: ru_maxrss would also count the process that started it, before it became this one
        status = Path("/proc/self/status").read_text().splitlines()
        print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:")))
        return
    makers = {"training": lambda: training_calls(config), "painting": lambda: painting_calls(config),
              "damsm": lambda: damsm_calls(config.damsm)}
    result: dict[str, Any] = {"conditions": conditions(), "batch": arguments.batch,
                              "precision of our training": resolve_precision("auto", "cpu")}
    for part in arguments.part or makers:
        result[part] = measured(makers[part](), rounds=arguments.rounds)
    if arguments.memory:
        result["largest memory, MiB"] = peaks(arguments)
    report(result, arguments.json)


if __name__ == "__main__":
    main()
