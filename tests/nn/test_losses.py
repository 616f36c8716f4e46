from pathlib import Path

import numpy as np
import pytest
import torch

from limner.nn.losses import energy_score, eps_bce, painted_cost, score_cost, steepness, variety


def test_values_and_gradients_equal_torch7():
    golden = np.load(Path(__file__).parents[1] / "golden" / "gan_cls" / "bce_eps.npz")
    for target in (0, 1):
        p = torch.from_numpy(golden["p"]).requires_grad_()
        loss = eps_bce(p, real=target == 1)
        np.testing.assert_allclose(loss.detach(), golden[f"bce_target{target}"], rtol=1e-12, atol=1e-15)
        (gradient,) = torch.autograd.grad(loss.sum(), p)
        np.testing.assert_allclose(gradient, golden[f"grad_target{target}_unnorm"], rtol=1e-14, atol=0)


def test_the_gradient_is_the_derivative_away_from_the_ends():
    p = torch.tensor([1e-4, 0.3, 0.7, 0.9999], dtype=torch.float64, requires_grad=True)
    for real in (False, True):
        assert torch.autograd.gradcheck(lambda p, real=real: eps_bce(p, real=real), p, eps=1e-8, rtol=1e-3)


def test_variety_counts_pairs_up_to_the_goal():
    images = torch.tensor([0.0, 0.0, 0.2, 2.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    noise = torch.tensor([[0.0], [0.0], [1.0], [2.0]])
    assert variety(images, noise, goal=0.6).item() == pytest.approx((0.2 + 0.6) / 2)
    moved = images.clone().requires_grad_()
    variety(moved, noise, goal=0.6).backward()
    assert moved.grad is not None
    assert moved.grad[2].any()
    assert not moved.grad[3].any()  # far enough


def test_saturated_logits_keep_their_gradient() -> None:
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    loss = score_cost(logits, real=True).mean()
    loss.backward()
    assert loss.item() == 100
    assert logits.grad is not None
    assert logits.grad.tolist() == [-0.5, 0]


def test_hinge_costs_nothing_beyond_the_margin_and_pays_the_generator_by_the_score() -> None:
    scores = torch.tensor([1.5, 0.5, -2.0])
    assert score_cost(scores, real=True, loss="hinge").tolist() == [0, 0.5, 3]
    assert score_cost(scores, real=False, loss="hinge").tolist() == [2.5, 1.5, 0]
    assert painted_cost(scores, loss="hinge").tolist() == [-1.5, -0.5, 2]
    assert score_cost(scores.double(), real=True).dtype == torch.float64
    assert painted_cost(scores.bfloat16(), loss="hinge").dtype == torch.float32


def test_steepness_is_half_the_squared_slope_and_can_be_differentiated() -> None:
    images = torch.randn(3, 2, 4, 4)
    weight = torch.randn(2, 4, 4, requires_grad=True)
    penalty = steepness(lambda seen: (seen * weight).flatten(1).sum(1), images)
    assert not images.requires_grad
    assert penalty.item() == pytest.approx(0.5 * weight.square().sum().item())
    penalty.backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, weight.detach())


def test_the_energy_score_is_that_of_two_paintings_and_a_picture() -> None:
    painted = torch.tensor([0.0, 0.5, 0.4, 1.0]).view(4, 1, 1, 1).expand(4, 3, 16, 16)
    real = torch.tensor([0.1, 0.5]).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    expected = ((0.1 + 0.3 - 0.4) + (0.0 + 0.5 - 0.5)) / 4
    assert energy_score(painted, real).item() == pytest.approx(expected, abs=0.01)
    halves = torch.cat([torch.zeros(1, 3, 16, 8), torch.ones(1, 3, 16, 8)], 3)
    apart = energy_score(torch.cat([halves, halves]), torch.zeros(1, 3, 16, 16)).item()
    assert apart == pytest.approx((0.5 + 0.5 + 0.5**0.5) / 3, abs=0.01)  # of pixels, blocks of 2, the whole


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_energy_score_is_lowest_where_paintings_have_the_shares_of_pictures(share: float) -> None:
    """One kind of ground in ``share`` of the pictures, another in the others; nothing else changes."""
    kinds = torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1).expand(2, 3, 8, 8)

    def expected(painted: float) -> float:
        odds = [torch.tensor([1 - p, p]) for p in (painted, painted, share)]
        scores = torch.tensor([[[energy_score(kinds[[p, q]], kinds[[r]]).item() for r in (0, 1)] for q in (0, 1)]
                               for p in (0, 1)])
        return torch.einsum("pqr,p,q,r->", scores, *odds).item()

    found = {painted: expected(painted) for painted in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert min(found, key=lambda painted: found[painted]) == share


def test_the_slope_of_the_energy_score_is_finite_where_pictures_are_equal() -> None:
    painted = torch.zeros(2, 3, 8, 8, requires_grad=True)
    energy_score(painted, torch.zeros(1, 3, 8, 8)).backward()
    assert painted.grad is not None
    assert torch.equal(painted.grad, torch.zeros_like(painted))
