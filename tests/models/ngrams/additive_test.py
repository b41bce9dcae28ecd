import numpy as np
import pytest
from nltk import lm

from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    backed_off,
    distribution,
    histories,
    ngrams,
    uniform,
)
from tflm.models.ngrams.additive import add_k, maximum_likelihood
from tflm.models.ngrams.counts import count


@pytest.fixture
def counts(store, order):
    return count(store.targets, store.starts, VOCABULARY_SIZE, order)


def nltk_s(name, order, documents, *arguments):
    """A model of NLTK's whose words are all ids but padding and START."""
    model = getattr(lm, name)(*arguments, order)
    for length in range(1, order + 1):
        model.counts.update([ngrams(documents, length).elements()])
    # NLTK's vocabulary has an unknown word of its own.
    words = [str(token) for token in range(3, VOCABULARY_SIZE)]
    model.vocab.update(words)
    assert len(model.vocab) == VOCABULARY_SIZE - 2
    return model


def whole(history, order):
    """The part of a history that counts; None where it was cut."""
    history = history[max(len(history) - order + 1, 0) :]
    return history if history[:1] == (2,) or len(history) == order - 1 else None


def test_maximum_likelihood_is_nltk_s(documents, counts, order):
    theirs = nltk_s("MLE", order, documents)
    ours = backed_off(maximum_likelihood(counts))
    for history in histories(documents, order):
        history = history[max(len(history) - order + 1, 0) :]
        # NLTK has 0 for all tokens behind what was never seen; here the
        # history is shortened.
        seen = history
        while seen and not theirs.context_counts(seen).N():
            seen = seen[1:]
        expected = [
            theirs.unmasked_score(token, seen)
            for token in range(VOCABULARY_SIZE)
        ]
        np.testing.assert_allclose(
            distribution(ours, history), expected, rtol=1e-6
        )


@pytest.mark.parametrize("k", [1.0, 0.01, 3.5])
def test_add_k_is_nltk_s(documents, counts, order, k):
    arguments = () if k == 1 else (k,)
    name = "Laplace" if k == 1 else "Lidstone"
    theirs = nltk_s(name, order, documents, *arguments)
    ours = backed_off(add_k(counts, k))
    compared = 0
    for history in histories(documents, order):
        history = whole(history, order)
        if history is None:
            continue
        expected = [
            0.0 if token in (0, 2) else theirs.unmasked_score(token, history)
            for token in range(VOCABULARY_SIZE)
        ]
        np.testing.assert_allclose(
            distribution(ours, history), expected, rtol=1e-5
        )
        compared += 1
    assert compared


def test_add_k_knows_nothing_of_cut_histories(documents, counts, order):
    ours = backed_off(add_k(counts))
    for length in range(order - 1):
        history = (5,) * length
        expected = [uniform(token) for token in range(VOCABULARY_SIZE)]
        np.testing.assert_allclose(
            distribution(ours, history), expected, rtol=1e-6
        )
