import numpy as np
import pytest
import torch
from tests.systems.gan_cls import official
from torch.nn import functional

from limner.errors import LimnerError
from limner.systems.gan_cls.losses import (
    discriminator_loss,
    generator_loss,
    interpolate_text,
    mean_captions,
    probabilities,
    share_captions,
)


@pytest.fixture(scope="module")
def mixing():
    return official.arrays("text_mixing")


def test_caption_groups(mixing):
    captions = int(mixing["numCaption"])
    shared = share_captions(torch.from_numpy(mixing["txt"]), captions)
    np.testing.assert_allclose(shared, mixing["replicate1_out"], rtol=1e-14)
    mean = mean_captions(torch.from_numpy(mixing["replicate0_in"]), captions)
    np.testing.assert_allclose(mean, mixing["replicate0_out_B2"], rtol=1e-14)


def test_interpolation_of_both_types(mixing):
    text = torch.from_numpy(mixing["txt"])
    np.testing.assert_allclose(interpolate_text(text), mixing["interp1_batch8"], rtol=1e-14)
    alpha = torch.from_numpy(mixing["interp2_alpha"])
    np.testing.assert_allclose(interpolate_text(text, alpha=alpha), mixing["interp2_batch8"], rtol=1e-12)
    assert torch.equal(interpolate_text(text, alpha=alpha[:, None]), interpolate_text(text, alpha=alpha))


def test_row_weights(mixing):
    weights = torch.from_numpy(mixing["bce_weights_int1"])
    logits = torch.linspace(-3, 3, len(weights), dtype=torch.float64)
    by_rows = functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits), weights)
    assert generator_loss(logits, rows=8, interp_weight=1.0).item() == pytest.approx(by_rows.item(), abs=1e-10)


def test_weight_zero_scales_the_plain_term_by_two_thirds():
    logits = torch.randn(12, dtype=torch.float64)
    plain = generator_loss(logits[:8], rows=8)
    assert generator_loss(logits, rows=8).item() == pytest.approx(plain.item() * 2 / 3, rel=1e-12)


def test_away_from_saturation_the_loss_is_the_softplus_form():
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 2e-3)):
        real, wrong, fake = (torch.linspace(-10, 10, 41, dtype=dtype).roll(n).requires_grad_() for n in (0, 5, 9))
        loss = discriminator_loss(real, fake, wrong=wrong, cls_weight=0.5).total
        softplus = functional.softplus
        expected = softplus(-real).mean() + (softplus(wrong) + softplus(fake)).mean() / 2
        torch.testing.assert_close(loss, expected, rtol=tolerance, atol=0)
        gradients = torch.autograd.grad(loss, (real, wrong, fake))
        for ours, other in zip(gradients, torch.autograd.grad(expected, (real, wrong, fake)), strict=True):
            torch.testing.assert_close(ours, other, rtol=tolerance, atol=1e-9)


def test_half_precision_logits_keep_their_small_probabilities():
    logits = torch.tensor([-12.0], dtype=torch.bfloat16)
    assert probabilities(logits).dtype == torch.float32
    assert generator_loss(-logits, rows=1).item() == pytest.approx(6.1442e-06, rel=2e-2)
    assert probabilities(logits.double()).dtype == torch.float64


def test_without_cls_weight_there_is_no_wrong_term():
    real, fake = torch.randn(4), torch.randn(4)
    loss = discriminator_loss(real, fake)
    assert loss.wrong is None
    assert torch.equal(loss.total, loss.real + loss.fake)


@pytest.mark.parametrize(("weight", "wrong"), [(0.0, torch.zeros(4)), (0.5, None), (1.5, torch.zeros(4)), (-0.1, None)])
def test_cls_weight_and_wrong_images_go_together(weight, wrong):
    with pytest.raises(LimnerError, match="cls_weight"):
        discriminator_loss(torch.zeros(4), torch.zeros(4), wrong=wrong, cls_weight=weight)


def test_impossible_batches_are_refused():
    with pytest.raises(LimnerError, match="7 is odd"):
        interpolate_text(torch.zeros(7, 3))
    with pytest.raises(LimnerError, match="3 interpolation factors for 4 pairs"):
        interpolate_text(torch.zeros(8, 3), alpha=torch.zeros(3))
    with pytest.raises(LimnerError, match="groups of 3"):
        mean_captions(torch.zeros(8, 3), 3)
    with pytest.raises(LimnerError, match="groups of 0"):
        share_captions(torch.zeros(8, 3), 0)
    with pytest.raises(LimnerError, match="5 plain rows"):
        generator_loss(torch.zeros(4), rows=5)
