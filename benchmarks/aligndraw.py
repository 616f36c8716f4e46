"""alignDRAW's training pass and painting against straight ones: sample by sample, filter by filter, product by product.

    python benchmarks/aligndraw.py --threads 1 --rows 16
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from limner.nn.initialisation import seeded_initialisation
from limner.systems.aligndraw.drawing import PaintingHeads, bound, generate, reconstruct
from limner.systems.aligndraw.networks import Generator, Recognition, lstm
from limner.systems.aligndraw.painter import CPU_ROWS
from limner.systems.aligndraw.presets import PRESETS
from limner.systems.aligndraw.windows import geometry
from turns import by_turns, conditions, report


def bank(centre: Tensor, stride: Tensor, variance: Tensor, *, size: int, count: int) -> Tensor:
    """The N x H filters of one axis of one window, one after the other."""
    pixels = torch.arange(1, size + 1, dtype=centre.dtype)
    filters = []
    for number in range(1, count + 1):
        mean = centre + (number - count / 2 - 0.5) * stride
        filters.append(torch.exp(-(pixels - mean) ** 2 / (2 * variance)))
    return torch.stack([each / (each.sum() + 1e-4) for each in filters])


def window(parameters: Tensor, *, size: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """F_y, F_x and gamma of one window (5,)."""
    place = geometry(parameters[None], size=size, count=count)
    banks = [bank(place.centre[0, axis], place.stride[0, 0], place.variance[0, 0], size=size, count=count)
             for axis in (1, 0)]
    return banks[0], banks[1], parameters[4].exp()


def straight_words(generator: Generator, tokens: Tensor) -> Tensor:
    """The states (S, 2 H) of the two LSTMs over one caption (S,)."""
    states = []
    for part, order in ((generator.lang_fwd, tokens), (generator.lang_bwd, tokens.flip(0))):
        hidden, run = generator.init["h_lang"][0], []
        cell = torch.zeros_like(hidden)
        for token in order:
            hidden, cell = lstm(part["W_in"][token] + hidden @ part["W_rec"] + part["b"], cell)
            run.append(hidden)
        states.append(run)
    return torch.stack([torch.cat(pair) for pair in zip(states[0], states[1][::-1], strict=True)])


def straight_sentence(generator: Generator, words: Tensor, hidden: Tensor) -> Tensor:
    """What a step reads of the words."""
    align = generator.align
    scores = torch.tanh(words @ align["U"] + hidden @ align["W"] + align["b"])
    return (scores @ align["v"]).softmax(0) @ words


def straight_decoder(generator: Generator, latent: Tensor, sentence: Tensor, hidden: Tensor, cell: Tensor
                     ) -> tuple[Tensor, Tensor]:
    dec = generator.dec
    return lstm(hidden @ dec["W_rec"] + latent @ dec["W_z"] + sentence @ dec["W_sent"] + dec["b"], cell)


def straight_patch(generator: Generator, hidden: Tensor) -> Tensor:
    """What a step writes on the canvas (C, H, H)."""
    drawing = generator.drawing
    rows, columns, gamma = window(hidden @ generator.write_head["W"] + generator.write_head["b"],
                                  size=drawing.image_size, count=drawing.write_size)
    patch = (hidden @ generator.patch["W"] + generator.patch["b"]).view(
        drawing.channels, drawing.write_size, drawing.write_size)
    return torch.stack([rows.T @ plane @ columns / gamma for plane in patch])


def straight_cost(generator: Generator, recognition: Recognition, picture: Tensor, tokens: Tensor, noise: Tensor
                  ) -> Tensor:
    """The negative bound of one picture (C, H, H) under one caption (S,) with noise (T, Z)."""
    drawing = generator.drawing
    words = straight_words(generator, tokens)
    hidden, canvas = generator.init["h_dec"][0], generator.init["canvas"].view_as(picture)
    cell, seen = torch.zeros_like(hidden), recognition.init["h_enc"][0]
    seen_cell, mean, log_std = torch.zeros_like(seen), torch.zeros_like(noise[0]), torch.zeros_like(noise[0])
    cost = torch.zeros(())
    for chance in noise:
        rows, columns, gamma = window(hidden @ recognition.read_head["W"] + recognition.read_head["b"],
                                      size=drawing.image_size, count=drawing.read_size)
        glimpse = torch.cat([(gamma * (rows @ plane @ columns.T)).flatten()
                             for plane in (*picture, *(picture - canvas.sigmoid()))])
        sentence = straight_sentence(generator, words, hidden)
        enc = recognition.enc
        seen, seen_cell = lstm(torch.cat([glimpse, hidden]) @ enc["W_in"] + seen @ enc["W_rec"] + enc["b"], seen_cell)
        centre = seen @ recognition.post_mu["W"] + recognition.post_mu["b"]
        log_variance = seen @ recognition.post_logvar["W"] + recognition.post_logvar["b"]
        latent = centre + (log_variance / 2).exp() * chance
        hidden, cell = straight_decoder(generator, latent, sentence, hidden, cell)
        spread = ((centre - mean) ** 2 + log_variance.exp()) * (-2 * log_std).exp()
        cost = cost + 0.5 * (spread - 1 - log_variance + 2 * log_std).sum()
        mean, log_std = torch.tanh(hidden @ generator.prior["W"] + generator.prior["b"]).chunk(2)
        canvas = canvas + straight_patch(generator, hidden)
    return cost + functional.binary_cross_entropy_with_logits(canvas, picture, reduction="sum")


def straight_painting(generator: Generator, tokens: Tensor, noise: Tensor) -> Tensor:
    """The last canvas (C, H, H), as logits, of one caption (S,) with noise (T, Z)."""
    drawing = generator.drawing
    words = straight_words(generator, tokens)
    hidden = generator.init["h_dec"][0]
    canvas = generator.init["canvas"].view(drawing.channels, drawing.image_size, drawing.image_size)
    cell, mean, log_std = torch.zeros_like(hidden), torch.zeros_like(noise[0]), torch.zeros_like(noise[0])
    for chance in noise:
        latent = mean + log_std.exp() * chance
        sentence = straight_sentence(generator, words, hidden)
        hidden, cell = straight_decoder(generator, latent, sentence, hidden, cell)
        mean, log_std = torch.tanh(hidden @ generator.prior["W"] + generator.prior["b"]).chunk(2)
        canvas = canvas + straight_patch(generator, hidden)
    return canvas


def measure(preset: str, *, rows: int, steps: int, words: int, rounds: int) -> dict[str, object]:
    """Seconds of forward and backward, and of painting one picture and all rows, both ways, on the same weights and
    noise."""
    config = PRESETS[preset]()
    drawing = replace(config.drawing, steps=steps)
    with seeded_initialisation(0, "benchmark"):
        generator = Generator(drawing, config.captions, words=23)
        recognition = Recognition(drawing, learned_start=True)
        pictures = torch.rand(rows, drawing.channels, drawing.image_size, drawing.image_size)
        tokens, noise = torch.randint(0, 23, (rows, words)), torch.randn(steps, rows, drawing.latent)

    def ours() -> Tensor:
        read = generator.read_captions(tokens, torch.full((rows,), words))
        loss = bound(pictures, reconstruct(generator, recognition, pictures, read, noise)).cost.mean()
        loss.backward()
        return loss.detach()

    def straight() -> Tensor:
        loss = torch.stack([straight_cost(generator, recognition, pictures[row], tokens[row], noise[:, row])
                            for row in range(rows)]).mean()
        loss.backward()
        return loss.detach()

    heads = PaintingHeads(generator)

    @torch.inference_mode()
    def paint(numbers: list[int]) -> Tensor:
        read = generator.read_captions(tokens[numbers], torch.full((len(numbers),), words))
        return generate(generator, read, noise[:, numbers], heads)[-1].canvas

    @torch.inference_mode()
    def straight_paint(count: int) -> Tensor:
        return torch.stack([straight_painting(generator, tokens[row], noise[:, row]) for row in range(count)])

    torch.testing.assert_close(ours(), straight(), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(paint([*range(rows)]), straight_paint(rows), rtol=1e-4, atol=1e-3)
    result: dict[str, object] = {"rows": rows, "steps": steps, "words": words}
    for name, calls in (
        ("training pass", {"ours": ours, "straight": straight}),
        ("one painting", {"ours": lambda: paint([0]), "straight": lambda: straight_paint(1)}),
        ("one painting as limner paint computes it", {"ours": lambda: paint([0] * CPU_ROWS),
                                                      "straight": lambda: straight_paint(1)}),
        ("a painting of each row", {"ours": lambda: paint([*range(rows)]), "straight": lambda: straight_paint(rows)}),
    ):
        seconds = by_turns(calls, rounds=rounds, warm_up=1)
        ratio = round(seconds["straight"] / seconds["ours"], 1)
        result[name] = {"seconds": seconds, "times as fast as straight": ratio}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", choices=["aligndraw-digits", "aligndraw-shapes"])
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--words", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    result = {"conditions": conditions(), **{
        preset: measure(preset, rows=arguments.rows, steps=arguments.steps, words=arguments.words,
                        rounds=arguments.rounds) for preset in arguments.preset or ["aligndraw-digits"]}}
    report(result, arguments.json)


if __name__ == "__main__":
    main()
