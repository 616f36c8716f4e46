"""Structured joint embedding against reference vectors and a case counted by hand; the released optimiser."""

from __future__ import annotations

import pytest
import torch
from tests.golden.char_cnn_rnn.reference import PRECISIONS, Reference

from limner.errors import LimnerError
from limner.matching.losses import (
    matching_accuracy,
    structured_joint_embedding_loss,
    symmetric_structured_joint_embedding_loss,
)
from limner.matching.recipe import learning_rate, optimiser


@pytest.mark.parametrize("precision", PRECISIONS)
def test_losses_gradients_and_accuracies(precision: str) -> None:
    reference = Reference("sje_loss", precision)
    for group in ("square", "rect"):
        images = reference.tensor(f"{group}/img").requires_grad_()
        texts = reference.tensor(f"{group}/txt").requires_grad_()
        labels = reference.tensor(f"{group}/labels0")
        loss = structured_joint_embedding_loss(images, texts, labels)
        image_gradient, text_gradient = torch.autograd.grad(loss, (images, texts))
        reference.close(f"{group}/loss", loss)
        reference.close(f"{group}/grad_img", image_gradient)
        reference.close(f"{group}/grad_txt", text_gradient)
        reference.close(f"{group}/acc_percent", 100 * matching_accuracy(images, texts, labels))
        if group == "square":
            reference.close("square/loss_swapped", structured_joint_embedding_loss(texts, images, labels))
            reference.close("square/acc_swapped_percent", 100 * matching_accuracy(texts, images, labels))
            loss = symmetric_structured_joint_embedding_loss(images, texts)
            image_gradient, text_gradient = torch.autograd.grad(loss, (images, texts))
            reference.close("square/sym_loss", loss)
            reference.close("square/sym_grad_img", image_gradient)
            reference.close("square/sym_grad_txt", text_gradient)
    reference.finish()


def test_a_case_counted_by_hand() -> None:
    anchors, candidates = torch.eye(2), torch.tensor([[3.0, 0.5], [2.5, 0.0], [1.0, 2.0]])
    # Scores 3, 2.5, 1 and 0.5, 0, 2. Anchor 0 (own 0): 0.5 + 0. Anchor 1 (own 1): 1.5 + 3. Over 2 * 3.
    labels = torch.tensor([0, 1])
    assert structured_joint_embedding_loss(anchors, candidates, labels).item() == pytest.approx(5 / 6)
    assert matching_accuracy(anchors, candidates, labels).item() == 0.5


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(LimnerError, match="equally wide"):
        structured_joint_embedding_loss(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(LimnerError, match="2 anchors need as many labels"):
        matching_accuracy(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(LimnerError, match="equally wide"):
        symmetric_structured_joint_embedding_loss(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_optimiser(precision: str) -> None:
    reference = Reference("rmsprop", precision)
    trajectory = reference.take("traj")
    x = torch.tensor(trajectory[0]).to(reference.dtype).requires_grad_()
    rmsprop = optimiser([x], learning_rate=float(reference.take("lr")))
    assert rmsprop.defaults["alpha"] == reference.take("alpha")
    assert rmsprop.defaults["eps"] == reference.take("eps")
    steps = [x.detach().clone()]
    for _ in trajectory[1:]:
        rmsprop.zero_grad()
        (0.5 * reference.tensor("a") * x.square()).sum().backward()
        rmsprop.step()
        steps.append(x.detach().clone())
    reference.close("traj", torch.stack(steps))
    rates = [learning_rate(150 * (epoch + 1), classes=150) for epoch in range(200)]
    reference.close("lr_after_epoch", torch.tensor(rates, dtype=torch.float64))
    reference.finish()


def test_the_learning_rate_falls_once_per_number_of_classes() -> None:
    assert [learning_rate(step, classes=82) for step in (0, 81)] == [7e-4, 7e-4]
    assert learning_rate(82, classes=82) == learning_rate(163, classes=82) == pytest.approx(7e-4 * 0.98)
