from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.systems.gan_cls import small

from limner.errors import LimnerError
from limner.matching.config import PriorConfig
from limner.matching.prior import CaptionPrior, load_prior
from limner.matching.prior_stage import PriorStage, complete_captions
from limner.nn.initialisation import seeded_initialisation
from limner.systems.gan_cls.config import GanClsConfig
from limner.systems.gan_cls.presets import debug_form, faces_gan_cls
from limner.training.stage import Components


def _config() -> GanClsConfig:
    config = debug_form(faces_gan_cls())
    assert config.prior is not None
    return replace(config, prior=replace(config.prior, width=64, batch_size=64, learning_rate=0.01, steps=16))


def _trained(steps: int) -> tuple[PriorStage, Components, list[float]]:
    config = _config()
    components = small.fresh(config, until="gan")
    weights = components.weights["text_encoder"]
    components.weights["text_encoder"] = {name: value * 4 if value.ndim > 1 else value
                                          for name, value in weights.items()}
    stage = small.built("prior", config, components)
    losses = [small.step(stage, small.context(step=number, images_seen=number, images=steps))["loss"].item()
              for number in range(steps)]
    return stage, components, losses


def test_the_complete_caption_is_the_first_with_most_words() -> None:
    pictures = small.corpus().split("train")
    numbers = complete_captions(pictures)
    for picture, (start, end) in enumerate(pictures.caption_ranges.tolist()):
        lengths = [len(caption.split()) for caption in pictures.captions[start:end]]
        assert numbers[picture] == start + lengths.index(max(lengths))


def test_a_velocity_of_one_gaussian_carries_noise_to_it() -> None:
    """Towards N(m, s^2) from N(0, 1) the right velocity is known; a whitening of another mean and scale is undone."""
    with seeded_initialisation(0, "test"):
        prior = CaptionPrior(size=3, width=8, blocks=1)
    prior.whitened.fit(torch.tensor([[1.0, 0, 0], [3.0, 1, 0], [2.0, 4, 1]]))
    mean, spread = torch.tensor([1.0, -2, 0.5]), 0.5

    def velocity(x: torch.Tensor, time: torch.Tensor, caption: torch.Tensor) -> torch.Tensor:
        variance = (1 - time) ** 2 + (time * spread) ** 2
        return mean + (time * spread**2 - (1 - time)) / variance * (x - time * mean)

    prior.forward = velocity  # type: ignore[method-assign]
    noise = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        drawn = prior.whitened(prior.complete(torch.zeros(2000, 3), noise, steps=200, guidance=1.5))
    assert drawn.mean(0).tolist() == pytest.approx(mean.tolist(), abs=0.05)
    assert drawn.std(0).tolist() == pytest.approx([spread] * 3, abs=0.05)


def test_guidance_goes_on_from_no_caption_through_the_caption() -> None:
    with seeded_initialisation(0, "test"):
        prior = CaptionPrior(size=2, width=8, blocks=1)
    torch.nn.init.constant_(prior.nothing, -1.0)
    prior.forward = lambda x, time, caption: caption  # type: ignore[method-assign,assignment]
    with torch.inference_mode():
        drawn = prior.complete(torch.ones(1, 2), torch.zeros(1, 2), steps=4, guidance=1.5)
    torch.testing.assert_close(drawn, torch.full((1, 2), 2.0))  # -1 + 1.5 * (1 - -1)


def test_a_caption_that_says_nearly_everything_stays_as_it_is() -> None:
    with seeded_initialisation(0, "test"):
        prior = CaptionPrior(size=2, width=8, blocks=1)
    prior.forward = lambda x, time, caption: torch.zeros_like(x)  # type: ignore[method-assign,assignment]
    text, noise = torch.tensor([[1.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.5, 1.0], [3.0, 1.0]])
    with torch.inference_mode():
        drawn = prior.complete(text, noise, steps=1, guidance=1.0, threshold=1.0)  # at distances of 1/8 and 2
    assert drawn.tolist() == [[1.0, 1.0], [3.0, 1.0]]


def test_it_learns_to_complete_captions_as_the_data_does() -> None:
    """Of the pictures that have a caption, it draws the complete captions; a complete one stays what it is."""
    stage, components, losses = _trained(400)
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])
    assert stage.validate(small.context(), stage.modules)["held_out"] < 0
    complete = stage.embeddings[stage.complete]
    prior = load_prior(_config().prior, complete.shape[1], components | stage.components(stage.modules))  # type: ignore[arg-type]
    noise = torch.randn(len(complete), complete.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        again = prior.complete(complete, noise, steps=16, guidance=1.0)
        spread = (complete - complete.mean(0)).square().mean()
        assert (again - complete).square().mean() < 0.5 * spread
        short = complete[:1].expand(len(complete), -1) * 0 + stage.embeddings.mean(0)  # says nothing in particular
        drawn = prior.complete(short, noise, steps=16, guidance=1.0)
    assert (drawn - drawn.mean(0)).square().mean() > 0.3 * spread


@pytest.mark.parametrize(("changes", "words"), [
    ({"width": 0}, "width must be at least 1"),
    ({"learning_rate": 1.0}, "learning_rate must be between 0 and 1"),
    ({"withheld": 1.0}, "withheld must be at least 0 and below 1"),
    ({"guidance": -1.0}, "guidance and threshold at least 0"),
    ({"threshold": -1.0}, "guidance and threshold at least 0"),
])
def test_a_bad_value_is_refused(changes: dict[str, float], words: str) -> None:
    config = _config().prior
    assert isinstance(config, PriorConfig)
    with pytest.raises(LimnerError, match=words):
        replace(config, **changes)
