import numpy as np
import pytest

from tests.documents import Document, store_of
from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    backed_off,
    distribution,
    histories,
    ngrams,
    observations,
    uniform,
)
from tflm.models.ngrams.counts import count
from tflm.models.ngrams.jelinek_mercer import held_out_weights, jelinek_mercer

BUCKETS = 24


def mixed(documents, order, weights):
    """A function of history and token, from the definition."""
    counts = {n: ngrams(documents, n) for n in range(1, order + 1)}

    def probability(history, token):
        history = history[max(len(history) - order + 1, 0) :]
        length = len(history) + 1
        total = sum(
            n for gram, n in counts[length].items() if gram[:-1] == history
        )
        lower = probability(history[1:], token) if history else uniform(token)
        if not total:
            return lower
        weight = weights[length - 1][total.bit_length() - 1]
        own = counts[length][(*history, token)] / total
        return weight * own + (1 - weight) * lower

    return probability


def test_probabilities_are_those_of_the_definition(documents, store, order):
    weights = np.random.default_rng(0).uniform(0.1, 0.9, [order, BUCKETS])
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, order)
    found = backed_off(jelinek_mercer(counts, weights))
    expected = mixed(documents, order, weights)
    for history in histories(documents, order):
        np.testing.assert_allclose(
            distribution(found, history),
            distribution(expected, history),
            rtol=1e-5,
        )


def made_up(weights):
    """The two observations that draw each weight towards one half."""
    return np.log(weights).sum() + np.log(1 - weights).sum()


def log_likelihood(documents, held_out, weights):
    probability = mixed(documents, len(weights), weights)
    return sum(
        np.log(probability(history, token))
        for history, token in observations(held_out)
    )


@pytest.mark.parametrize("order", [1, 3])
def test_no_other_weights_make_the_held_out_text_likelier(order):
    random = np.random.default_rng(5)

    def text(length):
        steps = random.choice([0, 1, 2], p=[0.2, 0.6, 0.2], size=length)
        return [Document((4 + np.cumsum(steps) % 5).tolist())]

    documents, held_out = text(60), text(150)
    store, other = store_of(documents), store_of(held_out)
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, order)
    weights = held_out_weights(counts, other.targets, other.starts)
    assert weights.shape == (order, BUCKETS)
    best = log_likelihood(documents, held_out, weights) + made_up(weights)
    buckets = {(row, k) for row in range(order) for k in range(7)}
    moved = 0
    for row, bucket in buckets:
        for factor in (0.7, 1.4):
            odds = weights[row, bucket] / (1 - weights[row, bucket]) * factor
            changed = weights.copy()
            changed[row, bucket] = odds / (1 + odds)
            likelihood = log_likelihood(documents, held_out, changed)
            assert likelihood + made_up(changed) < best + 1e-2
            moved += abs(weights[row, bucket] - 0.5) > 0.02
    assert moved


def test_weights_that_nothing_tells_of_stay_at_one_half():
    documents = store_of([Document([4, 5])])
    counts = count(documents.targets, documents.starts, VOCABULARY_SIZE, 2)
    other = store_of([Document([8, 8])])
    weights = held_out_weights(counts, other.targets, other.starts)
    # No context of the held-out text but START was seen, and no text is long.
    assert (weights[:, 5:] == 0.5).all()
    assert (weights[1, 1:] == 0.5).all()
    assert weights[0, 1] < 0.5
