"""Zero-shot scores against reference vectors and a case counted by hand."""

from __future__ import annotations

import pytest
import torch
from tests.golden.char_cnn_rnn.reference import PRECISIONS, Reference

from limner.errors import LimnerError
from limner.matching.retrieval import class_text_vectors, precision_at_k, top1_per_class, zero_shot_scores


@pytest.mark.parametrize("precision", PRECISIONS)
def test_reference(precision: str) -> None:
    reference = Reference("zeroshot_eval", precision)
    images, classes = reference.tensor("img_feats"), reference.tensor("img_class")
    texts = class_text_vectors(reference.tensor("caption_feats"), reference.tensor("caption_class"), 4)
    reference.close("class_txt", texts)
    scores = [zero_shot_scores(images, classes, texts, k=int(k)) for k in reference.take("ap_at_k_k")]
    reference.close("ap_at_k", torch.tensor([score.precision_at_k for score in scores], dtype=torch.float64))
    reference.close("top1_micro", scores[0].top1_micro)
    reference.close("top1_macro", scores[0].top1_macro)
    assert (scores[0].images, scores[0].classes, scores[-1].k) == (21, 4, 10)
    reference.finish()


IMAGES = torch.tensor([[5.0, 0.0], [4.0, 4.5], [0.0, 3.0], [2.0, 1.0], [1.0, 1.0]])
CLASSES = torch.tensor([0, 0, 1, 1, 1])


def test_a_case_counted_by_hand() -> None:
    texts = class_text_vectors(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), torch.tensor([0, 1, 0]), 2)
    assert texts.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    # Class 0 ranks 0, 1, 3, 4, 2; class 1 ranks 1, 2, 3, 4, 0 (3 and 4 tie and keep their order).
    assert precision_at_k(IMAGES, CLASSES, texts, k=3).tolist() == pytest.approx([2 / 3, 2 / 3])
    # Picture 1 looks like class 1, picture 3 like class 0; picture 4 ties and goes to the first class.
    assert top1_per_class(IMAGES, CLASSES, texts).tolist() == pytest.approx([1 / 2, 1 / 3])
    scores = zero_shot_scores(IMAGES, CLASSES, texts, k=3)
    assert scores.top1_micro == pytest.approx(2 / 5)
    assert scores.top1_macro == pytest.approx(5 / 12)
    assert scores.precision_ceiling == pytest.approx((2 / 3 + 1) / 2)
    assert scores.precision_per_class == pytest.approx((2 / 3, 2 / 3))


def test_equal_scores_rank_by_index() -> None:
    classes = torch.arange(2).repeat_interleave(1000)
    assert precision_at_k(torch.zeros(2000, 3), classes, torch.ones(2, 3)).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("k", [0, 6])
def test_k_beyond_the_pictures_is_refused(k: int) -> None:
    with pytest.raises(LimnerError, match="between 1 and 5"):
        precision_at_k(IMAGES, CLASSES, torch.eye(2), k=k)


def test_classes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(LimnerError, match="Class 2 has no picture"):
        zero_shot_scores(IMAGES, CLASSES, torch.ones(3, 2), k=1)
    with pytest.raises(LimnerError, match="Class 0 has no caption"):
        class_text_vectors(torch.ones(2, 3), torch.tensor([1, 1]), 2)
    with pytest.raises(LimnerError, match="between 0 and 0, got 1"):
        zero_shot_scores(IMAGES, CLASSES, torch.ones(1, 2), k=1)
    with pytest.raises(LimnerError, match="needs one class"):
        class_text_vectors(torch.ones(2, 3), torch.tensor([0]), 1)
    with pytest.raises(LimnerError, match="equally wide, got 2 and 3"):
        zero_shot_scores(IMAGES, CLASSES, torch.ones(2, 3), k=1)
