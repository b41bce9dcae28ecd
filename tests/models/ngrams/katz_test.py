import numpy as np

from tests.documents import Document, store_of
from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    backed_off,
    distribution,
    good_and_turing,
    histories,
    katz,
    ngrams,
)
from tflm.models.ngrams.counts import count
from tflm.models.ngrams.katz import katz as estimate


def assert_as_defined(documents, order):
    store = store_of(documents)
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, order)
    found = backed_off(estimate(counts))
    expected = katz(documents, order)
    for history in histories(documents, order):
        np.testing.assert_allclose(
            distribution(found, history),
            distribution(expected, history),
            rtol=1e-4,
        )


def test_probabilities_are_those_of_the_definition(documents, store, order):
    assert_as_defined([d for d in documents if d.targets], order)


def test_good_and_turing_where_they_are_defined():
    # As in a real text, there are ever fewer n-grams of higher counts.
    random = np.random.default_rng(3)
    ids = random.choice(5, p=[0.5, 0.25, 0.15, 0.07, 0.03], size=700) + 4
    documents = [Document(ids.tolist()), Document([8] * 30, ends=False)]
    discount = good_and_turing(ngrams(documents, 4).values())
    assert discount(1) not in (0.5, 1)
    # Discounts leave nothing over of a context whose counts are all high.
    assert counts_after(documents, (8, 8, 8)) == [27]
    assert_as_defined(documents, 5)


def counts_after(documents, history):
    counts = ngrams(documents, len(history) + 1)
    return [n for gram, n in counts.items() if gram[:-1] == history]


def test_where_every_token_was_seen_nothing_is_left_over():
    # All tokens, the unknown and END among them, after the token 4.
    after = [1, 3, 4, 5, 6, 7, 8]
    documents = [Document([4, t] if t != 3 else [4]) for t in after * 2]
    store = store_of(documents)
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, 2)
    found = distribution(backed_off(estimate(counts)), (4,))
    np.testing.assert_allclose(sum(found), 1, rtol=1e-5)
    assert min(found[t] for t in after) > 0
    assert_as_defined(documents, 2)
