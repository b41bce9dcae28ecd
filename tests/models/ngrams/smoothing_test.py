import numpy as np
import pytest

from tests.documents import Document, random_documents, store_of
from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    backed_off,
    distribution,
    histories,
)
from tflm import config
from tflm.models.ngrams.counts import count
from tflm.models.ngrams.jelinek_mercer import held_out_weights, jelinek_mercer
from tflm.models.ngrams.kneser_ney import kneser_ney, one_discount
from tflm.models.ngrams.smoothing import estimate

STORE = store_of(random_documents(4, vocabulary_size=VOCABULARY_SIZE))


@pytest.mark.parametrize("smoothing", config.SMOOTHINGS)
def test_probabilities_sum_to_one(documents, store, order, smoothing):
    probability = backed_off(estimate(store, VOCABULARY_SIZE, order, smoothing))
    for history in histories(documents, order):
        found = distribution(probability, history)
        assert sum(found) == pytest.approx(1, abs=1e-5)
        assert found[0] == found[2] == 0
        least = min(p for token, p in enumerate(found) if token not in (0, 2))
        assert least > 0 or smoothing == "mle"


def same(tables, others):
    return all(
        np.array_equal(table.log_probs, other.log_probs)
        for table, other in zip(tables, others, strict=True)
    )


def test_arguments_reach_their_method():
    counts = count(STORE.targets, STORE.starts, VOCABULARY_SIZE, 3)
    found = {
        smoothing: estimate(STORE, VOCABULARY_SIZE, 3, smoothing)
        for smoothing in config.SMOOTHINGS
    }
    names = list(found)
    for name, other in zip(names, names[1:], strict=False):
        assert not same(found[name], found[other])
    more = estimate(STORE, VOCABULARY_SIZE, 3, "laplace", add_k=2.0)
    assert not same(found["laplace"], more)
    one = estimate(STORE, VOCABULARY_SIZE, 3, discount=0.4)
    assert same(one, kneser_ney(counts, one_discount(3, 0.4)))
    held_out = store_of([Document([4, 5, 6, 4, 5])])
    weights = held_out_weights(counts, held_out.targets, held_out.starts)
    set_on = estimate(
        STORE, VOCABULARY_SIZE, 3, "interpolation", held_out=held_out
    )
    assert same(set_on, jelinek_mercer(counts, weights))


def test_weights_are_set_on_the_last_tenth():
    # Short documents: many of them begin in the part that is set aside.
    store = store_of([Document([4 + n % 5, 5, 4 + n % 3]) for n in range(40)])
    cut = int(len(store.targets) * 0.9)
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, 2)
    first = count(store.targets[:cut], store.starts, VOCABULARY_SIZE, 2)
    later = [0, *(start - cut for start in store.starts if start > cut)]
    assert len(later) > 3
    weights = held_out_weights(first, store.targets[cut:], np.array(later))
    found = estimate(store, VOCABULARY_SIZE, 2, "interpolation")
    assert same(found, jelinek_mercer(counts, weights))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"order": 0}, "`order` must be at least 1. Received: order=0"),
        ({"smoothing": "katz"}, "unknown smoothing 'katz'"),
        ({"add_k": 0.0}, "`add_k` must be above 0. Received: add_k=0.0"),
        ({"discount": 1.5}, r"`discount` must be in \[0, 1\]. Received: .*1.5"),
    ],
)
def test_arguments_out_of_range(changed, message):
    with pytest.raises(ValueError, match=message):
        estimate(STORE, VOCABULARY_SIZE, **{"order": 2, **changed})
