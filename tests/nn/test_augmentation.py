import pytest
import torch

from limner.nn.augmentation import augment

EVERYTHING = "color,translation,cutout"


def _numbers(rows: int = 4, **given: float) -> torch.Tensor:
    """Middling numbers (no change of colour, no shift, cutout in the middle) but for those named."""
    names = ("brightness", "saturation", "contrast", "right", "down", "hole_x", "hole_y")
    return torch.tensor([[given.get(name, 0.5) for name in names]] * rows)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)


@pytest.mark.parametrize("policy", ["", "color", "translation", "cutout", EVERYTHING])
def test_it_is_differentiable_and_keeps_the_shape(images: torch.Tensor, policy: str) -> None:
    numbers = torch.rand(4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images = images.double().requires_grad_()
    changed = augment(images, numbers, policy)
    assert changed.shape == images.shape
    one = images[:1].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, numbers[:1], policy), one, fast_mode=True)
    (gradient,) = torch.autograd.grad(changed.sum(), images)
    assert gradient.abs().sum() > 0


def test_equal_numbers_give_equal_change(images: torch.Tensor) -> None:
    same = images[:1].expand(4, -1, -1, -1)
    changed = augment(same, _numbers(brightness=0.9, right=0.1, hole_x=0.2), EVERYTHING)
    assert all(torch.equal(changed[0], row) for row in changed)
    other = augment(same, torch.rand(4, 7, generator=torch.Generator().manual_seed(2)), EVERYTHING)
    assert not torch.equal(other[0], other[1])
    assert torch.equal(augment(images, _numbers(), ""), images)
    torch.testing.assert_close(augment(images, _numbers(), "color,translation"), images)


def test_colour(images: torch.Tensor) -> None:
    brighter = augment(images, _numbers(brightness=1.0), "color")
    torch.testing.assert_close(brighter, images + 0.5)
    grey = augment(images, _numbers(saturation=0.0), "color")
    torch.testing.assert_close(grey, images.mean(1, keepdim=True).expand_as(images))
    flat = augment(images, _numbers(contrast=0.0), "color")
    level = images.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(flat - level, (images - level) / 2)


def test_translation_moves_by_up_to_an_eighth_and_fills_with_zeros(images: torch.Tensor) -> None:
    moved = augment(images, _numbers(right=0.0, down=0.999), "translation")  # the window goes left and down by 2
    assert torch.equal(moved[:, :, :-2, 2:], images[:, :, 2:, :-2])
    assert not moved[:, :, -2:].any()
    assert not moved[..., :2].any()


def test_cutout_hides_a_square_of_half_the_side(images: torch.Tensor) -> None:
    cut = augment(images, _numbers(), "cutout")
    hidden = (cut == 0).all(1)
    assert hidden[0].sum() == 8 * 8
    assert hidden[0, 4:12, 4:12].all()
    assert torch.equal(cut[~hidden[:, None].expand_as(cut)], images[~hidden[:, None].expand_as(cut)])
    corner = augment(images, _numbers(hole_x=0.0, hole_y=0.999), "cutout")
    assert ((corner == 0).all(1)[0, -5:, :4]).all()
    assert (corner == 0).all(1)[0].sum() == 5 * 4
