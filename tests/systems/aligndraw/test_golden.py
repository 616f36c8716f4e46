"""The networks against the reference vectors: every array of every file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.systems.aligndraw.golden import Golden, assert_close, full_size_weights
from torch import Tensor

from limner.systems.aligndraw.drawing import Stroke, bound, generate, reconstruct
from limner.systems.aligndraw.networks import Generator, Recognition, Words
from limner.systems.aligndraw.optimiser import ClippedRMSprop
from limner.systems.aligndraw.sharpening import Sharpener
from limner.systems.aligndraw.windows import geometry, read, window, write

FILES = [  # name, grid, backward, windows
    ("aligndraw_gray_official", "official", "official", True),
    ("aligndraw_gray_bwdfix_officialgrid", "official", "paper", True),
    ("aligndraw_gray_paper", "paper", "paper", True),
    ("aligndraw_rgb_paper", "paper", "paper", True),
    ("draw_official", "official", "paper", True),
    ("draw_noattention_OWN", "paper", "paper", False),
]


def _arrays(strokes: list[Stroke], words: Words | None) -> dict[str, Tensor]:
    """The strokes under the names of the files."""
    names = {"canvas": "canvas", "hidden": "h_dec", "cell": "cell_dec", "latent": "z", "patch": "patch",
             "prior_mean": "prior_mu", "prior_log_std": "prior_logsigma", "write_window": "write_params",
             "alpha": "alpha"}
    seen = {"mean": "post_mu", "log_variance": "post_logvar", "glimpse": "r", "hidden": "h_enc", "cell": "cell_enc",
            "read_window": "read_params"}
    arrays = {theirs: torch.stack([getattr(stroke, ours) for stroke in strokes])
              for ours, theirs in names.items() if getattr(strokes[0], ours) is not None}
    if strokes[0].seen is not None:
        arrays |= {theirs: torch.stack([getattr(stroke.seen, ours) for stroke in strokes])
                   for ours, theirs in seen.items() if getattr(strokes[0].seen, ours) is not None}
    if words is not None:
        arrays["h_lang"] = words.states.transpose(0, 1)
        arrays["s"] = torch.einsum("tbs,bsl->tbl", arrays["alpha"], words.states)
    return arrays


def _words(generator: Generator, golden: Golden, rows: slice = slice(None)) -> Words | None:
    if "in.tokens" not in golden:
        return None
    tokens = golden["in.tokens"][rows]
    lengths = torch.full((len(tokens),), tokens.shape[1])
    if "in.lengths" in golden:
        lengths = golden["in.lengths"]
    return generator.read_captions(tokens, lengths)


def _compare_gradients(golden: Golden, prefix: str, generator: Generator, recognition: Recognition) -> None:
    gradients = {name: parameter.grad for network in (generator, recognition)
                 for name, parameter in network.named_parameters()}
    expected = golden.under(prefix)
    assert set(expected) == set(gradients)
    for name, theirs in expected.items():
        ours = gradients[name]
        assert ours is not None, name
        assert_close(ours, theirs, f"{prefix}{name}")


@pytest.mark.parametrize(("name", "grid", "backward", "windows"), FILES)
def test_a_pass_its_loss_and_its_gradients(name: str, grid: str, backward: str, windows: bool) -> None:
    golden = Golden(name)
    generator, recognition = golden.networks(grid=grid, backward=backward, window=windows, weights=golden.under("w."))
    pictures = golden.pictures(golden["in.image"])
    words = _words(generator, golden)
    strokes = reconstruct(generator, recognition, pictures, words, golden["in.eps"])
    costs = bound(pictures, strokes)
    arrays = _arrays(strokes, words) | {
        "kl_step_sample": costs.kl, "kl_step_batchsum": costs.kl.sum(1), "kl": costs.kl.sum(0).mean(),
        "recon": costs.pixels.mean(), "loss": costs.cost.mean()}
    costs.cost.mean().backward()
    for key, theirs in golden.under("out.").items():
        assert_close(arrays[key], theirs, f"out.{key}")
    _compare_gradients(golden, "grad.", generator, recognition)

    words = _words(generator, golden)
    painted = _arrays(generate(generator, words, golden["in.eps"]), words)
    for key, theirs in golden.under("gen.").items():
        assert_close(painted[key], theirs, f"gen.{key}")


def test_captions_of_different_lengths_in_one_batch_are_as_alone() -> None:
    golden = Golden("aligndraw_varlen_paper")
    generator, recognition = golden.networks(grid="paper", weights=golden.under("w."))
    pictures = golden.pictures(golden["in.image"])
    words = _words(generator, golden)
    strokes = reconstruct(generator, recognition, pictures, words, golden["in.eps"])
    costs = bound(pictures, strokes)
    arrays = _arrays(strokes, words) | {
        "kl_step_sample": costs.kl, "kl_sample": costs.kl.sum(0), "recon_sample": costs.pixels,
        "loss_sample": costs.cost, "loss": costs.cost.mean()}
    costs.cost.mean().backward()
    for key, theirs in golden.under("out.").items():
        assert_close(arrays[key], theirs, f"out.{key}")
    _compare_gradients(golden, "grad.", generator, recognition)
    words = _words(generator, golden)
    painted = _arrays(generate(generator, words, golden["in.eps"]), words)
    for key, theirs in golden.under("gen.").items():
        assert_close(painted[key], theirs, f"gen.{key}")


@pytest.mark.parametrize("count", [2, 5, 8, 9])
def test_windows(count: int) -> None:
    golden = Golden("attention_window")
    arrays = golden.under(f"N{count}.")
    params, side = arrays["params"], golden.size("A")
    place = geometry(params, size=side, count=count)
    official = window(params, size=side, count=count, grid="official")
    paper = window(params, size=side, count=count)
    ours = {"g_x": place.centre[:, 0], "g_y": place.centre[:, 1], "delta": place.stride, "sigma": place.variance.sqrt(),
            "gamma": official.intensity, "F_x": official.columns, "F_y": official.rows, "F_x_paper": paper.columns,
            "F_y_paper": paper.rows}
    pictures = arrays["image"].view(-1, 1, side, side)
    ours["read_official"] = read(pictures, official) / official.intensity
    ours["write_official"] = write(arrays["window"], official, channels=1) * official.intensity[..., None, None]
    for key, theirs in arrays.items():
        if key not in ("params", "image", "window"):
            assert_close(ours[key], theirs, key)


def test_updates() -> None:
    golden = Golden("rmsprop_updates")
    generator, recognition = golden.networks(grid="official", backward="official", weights=golden.under("w0."))
    networks = (generator, recognition)
    optimiser = ClippedRMSprop([p for network in networks for p in network.parameters()], lr=float(golden["lr"]))
    rows = golden["in.eps"].shape[2]
    for update, noise in enumerate(golden["in.eps"]):
        share = slice(update * rows, (update + 1) * rows)
        pictures = golden.pictures(golden["in.image"][share])
        strokes = reconstruct(generator, recognition, pictures, _words(generator, golden, share), noise)
        costs = bound(pictures, strokes)
        loss = costs.cost.mean()
        assert_close(torch.stack([costs.kl.sum(0).mean(), costs.pixels.mean(), loss]),
                     golden["out.kl_recon_loss"][update], f"losses {update}", 1e-7)
        optimiser.zero_grad()
        loss.backward()
        if update == 0:
            _compare_gradients(golden, "grad0.", generator, recognition)
        optimiser.step()
        weights = {name: value for network in networks for name, value in network.state_dict().items()}
        for name, theirs in golden.under(f"w{update + 1}.").items():
            assert_close(weights[name], theirs, f"update {update}, {name}", 1e-7)


@pytest.mark.parametrize(("name", "first_canvas", "count"), [
    ("fullsize_mnist", -10.0, 2_371_746), ("fullsize_coco", 0.0, 33_098_147)])
def test_full_size(name: str, first_canvas: float, count: int) -> None:
    golden = Golden(name)
    weights = full_size_weights(golden, first_canvas)
    assert_close(torch.stack([value.sum() for value in weights.values()]), golden["w.sum"], "checksums")
    generator, recognition = golden.networks(grid="official", backward="official", weights=weights,
                                             first_canvas=first_canvas)
    assert sum(p.numel() for network in (generator, recognition) for p in network.parameters()) == count
    random = np.random.RandomState(81)
    shape = golden["in.tokens"].shape
    assert np.array_equal(random.randint(0, golden.size("V"), shape), golden["in.tokens"])
    pictures = golden.pictures(torch.from_numpy(random.rand(shape[0], golden.size("P"))))
    noise = torch.from_numpy(random.normal(size=(golden.size("T"), shape[0], golden.size("Z"))))
    with torch.no_grad():
        words = _words(generator, golden)
        strokes = reconstruct(generator, recognition, pictures, words, noise)
        painted = generate(generator, words, noise)
        costs = bound(pictures, strokes)
    for key, ours in {"out.kl": costs.kl.sum(0).mean(), "out.recon": costs.pixels.mean(), "out.loss": costs.cost.mean(),
                      "out.kl_step_sample": costs.kl, "out.canvas_last": strokes[-1].canvas,
                      "gen.canvas_last": painted[-1].canvas, "out.alpha": _arrays(strokes, words)["alpha"],
                      "gen.alpha": _arrays(painted, words)["alpha"]}.items():
        assert_close(ours, golden[key], key)


def test_sharpening() -> None:
    golden = Golden("sharpen")
    weights = golden.under("w.")
    sharpener = Sharpener(side=golden.size("K"), sentence=weights["sent2img.W"].shape[0],
                          widths=(len(weights["conv0.b"]), len(weights["conv1.b"]))).double()
    state = {name.replace(".W", ".weight").removesuffix("b") + "bias" * name.endswith(".b"): value
             for name, value in weights.items()}
    state["sent2img.weight"] = state["sent2img.weight"].T
    sharpener.load_state_dict(state)
    blurry = golden["in.blurry"].double().view(2, 3, 8, 8)
    sentence = golden["in.sentence"].double()
    assert_close(sharpener(blurry, sentence, torch.zeros(2, 1, 8, 8).double()), golden["out.edges"], "edges")
    assert_close(sharpener.sharpen(blurry, sentence), golden["out.sharp"], "sharp")
