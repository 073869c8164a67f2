"""Labels to probabilities: softmax for CLIP's loss, a judgement of each label by itself for SigLIP's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder
from seemory.zero_shot import ZeroShotClassifier


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return load_encoder("seemory-mini", home=tmp_path)


def test_each_label_wins_its_own_words(encoder: Encoder) -> None:
    labels = ["cat", "rocket", "motorcycle", "cup of coffee"]
    classifier = ZeroShotClassifier(encoder, labels, ["a photo of a {}."])
    vectors = encoder.embed_texts([f"a photo of a {label}." for label in labels])
    probabilities = classifier.probabilities(vectors)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(4))
    assert [answer[0].label for answer in classifier.classify(vectors)] == labels


def test_a_label_is_the_normalised_mean_of_its_prompts(encoder: Encoder) -> None:
    templates = ["a photo of a {}.", "many {}"]
    classifier = ZeroShotClassifier(encoder, ["cat", "dog"], templates)
    mean = encoder.embed_texts(["a photo of a cat.", "many cat"]).mean(axis=0)
    np.testing.assert_allclose(classifier.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_an_encoder_with_a_logit_bias_judges_each_label_by_itself(encoder: Encoder) -> None:
    encoder.spec = replace(encoder.spec, logit_scale=100.0, logit_bias=-10.0)
    classifier = ZeroShotClassifier(encoder, ["cat", "dog"])
    middle = classifier.vectors.mean(axis=0, keepdims=True)
    away = -middle / np.linalg.norm(middle)
    assert classifier.probabilities(away).max() < 0.01, "nothing of it is there: no label needs to win"
    at_bias = 0.1 * classifier.vectors[:1]  # cosine 0.1 with cat: 100 * 0.1 - 10 = 0
    assert classifier.probabilities(at_bias)[0, 0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("labels", [[], ["cat"], ["cat", "cat"], ["cat", "  "]])
def test_fewer_than_two_labels_are_refused(encoder: Encoder, labels: list[str]) -> None:
    with pytest.raises(UsageError, match="two different labels"):
        ZeroShotClassifier(encoder, labels)


def test_braces_in_a_label_are_only_braces(encoder: Encoder) -> None:
    assert ZeroShotClassifier(encoder, ["{cat}", "{0}"]).labels == ["{cat}", "{0}"]
