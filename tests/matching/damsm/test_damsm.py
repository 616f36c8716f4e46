from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from limner.errors import LimnerError
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText
from limner.matching.damsm.image_encoder import SmallRegions, build_region_encoder
from limner.matching.damsm.retrieval import r_precision
from limner.matching.damsm.text_encoder import WordEncoder
from limner.matching.damsm.vocabulary import Vocabulary, shorten
from limner.training.schedule import Schedule


def test_r_precision_by_hand() -> None:
    """Two classes. Pictures 0 and 1 find their caption, 2 finds the other class' caption nearer, 3 finds a tie."""
    images = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [1.0, 1.0]])
    own = torch.tensor([[5.0, 0.0], [1.0, 0.0], [1.0, 0.2], [1.0, 0.0]])
    pool = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    kinds, pool_kinds = np.array([0, 0, 0, 0]), np.array([1, 1])
    result = r_precision(images, own, pool, kinds=kinds, pool_kinds=pool_kinds, encoder="by hand", candidates=5,
                         folds=2)
    assert result.value == 0.5
    assert result.deviation == 0.5  # the first fold is all right, the second all wrong
    assert (result.images, result.candidates, result.chance) == (4, 5, 0.2)
    assert "by hand" in result.protocol


def test_r_precision_draws_from_other_classes_only() -> None:
    images = torch.eye(2)
    pool = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # each picture's perfect rival is of its own class
    result = r_precision(images, images * 0.5, pool, kinds=np.array([0, 1]), pool_kinds=np.array([0, 1]), encoder="e",
                         candidates=50, folds=1)
    assert result.value == 1.0
    with pytest.raises(LimnerError, match="two classes"):
        r_precision(images, images, pool, kinds=np.array([0, 0]), pool_kinds=np.array([0, 0]), encoder="e", folds=1)
    with pytest.raises(LimnerError, match="at least 10 images"):
        r_precision(images, images, pool, kinds=np.array([0, 1]), pool_kinds=np.array([0, 1]), encoder="e")


def test_r_precision_of_vectors_that_tell_nothing_is_chance() -> None:
    random = np.random.default_rng(0)
    images, own, pool = (torch.from_numpy(random.standard_normal((n, 8))) for n in (1000, 1000, 300))
    result = r_precision(images, own, pool, kinds=np.arange(1000), pool_kinds=1000 + np.arange(300), encoder="e",
                         candidates=10)
    assert result.value == pytest.approx(0.1, abs=0.03)


def test_a_long_caption_keeps_a_random_choice_of_its_words_in_order() -> None:
    tokens = np.array([[1, 2, 3, 4, 5, 6], [7, 8, 0, 0, 0, 0]])
    numbers = np.array([[0.9, 0.1, 0.5, 0.2, 0.8, 0.3], [0.0] * 6])
    short, lengths = shorten(tokens, np.array([6, 2]), numbers, 4)
    assert short.tolist() == [[2, 3, 4, 6], [7, 8, 0, 0]]
    assert lengths.tolist() == [4, 2]
    whole, lengths = shorten(tokens, np.array([6, 2]), numbers, 10)
    assert whole.tolist() == tokens.tolist()
    assert lengths.tolist() == [6, 2]


def test_unknown_words_are_left_out_and_named() -> None:
    vocabulary = Vocabulary.from_captions(["a red bird", "a blue bird", "a bird"])
    assert vocabulary.words == ("a", "bird", "blue", "red")
    assert vocabulary.read("A green bird, red!") == [1, 2, 4]
    assert vocabulary.unknown("A green bird, red!") == ["green"]
    tokens, lengths = vocabulary.table(["green", "red bird"])
    assert tokens.tolist() == [[0, 0], [4, 2]]
    assert lengths.tolist() == [1, 2]
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("recurrence", ["lstm", "gru"])
def test_a_caption_is_read_alike_alone_and_in_company(recurrence: Literal["lstm", "gru"]) -> None:
    torch.manual_seed(0)
    encoder = WordEncoder(DamsmText(recurrence=recurrence, word_size=6), 10, 8).eval()
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    words, sentences = encoder(tokens, torch.tensor([4, 2]))
    alone, sentence = encoder(tokens[1:, :2], torch.tensor([2]))
    torch.testing.assert_close(words[1:, :, :2], alone)
    torch.testing.assert_close(sentences[1:], sentence)
    assert words[1, :, 2:].abs().max() == 0
    # forwards the last state stands at the last word, backwards at the first
    torch.testing.assert_close(sentence[0], torch.cat([alone[0, :4, 1], alone[0, 4:, 0]]))


def test_a_sentence_may_be_the_mean_of_its_words() -> None:
    encoder = WordEncoder(DamsmText(sentence="mean", word_size=6), 10, 8).eval()
    tokens, lengths = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]), torch.tensor([4, 2])
    words, sentences = encoder(tokens, lengths)
    torch.testing.assert_close(sentences, torch.stack([words[0].mean(1), words[1, :, :2].mean(1)]))
    torch.testing.assert_close(sentences[1:], encoder(tokens[1:, :2], lengths[1:])[1])



@pytest.mark.parametrize("size", [16, 64, 96, 128])
def test_the_small_image_encoder_takes_any_size(size: int) -> None:
    config = DamsmConfig(schedule=Schedule(images=1), image=DamsmImage(width=4), image_size=size, embedding=6)
    regions, vectors = build_region_encoder(config)(torch.zeros(2, 3, size, size))
    assert regions.shape[:2] == (2, 6)
    assert 8 <= regions.shape[2] <= 15
    assert vectors.shape == (2, 6)


def test_regions_and_vector_are_read_from_the_maps_that_are_lent() -> None:
    encoder, images = SmallRegions(8, image_size=64, width=2), torch.randn(2, 3, 64, 64)
    maps = encoder.maps(images)
    regions, vectors = encoder(images)
    torch.testing.assert_close(regions, encoder.to_regions(maps[1]))
    torch.testing.assert_close(vectors, encoder.to_vector(maps[2].flatten(1)))
