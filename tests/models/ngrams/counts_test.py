import numpy as np

from tests.documents import START
from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    continuations,
    ngrams,
    observations,
)
from tflm.models.ngrams.counts import count, find


def tokens_of(counts):
    """The n-grams of each order, as tuples, in their order."""
    tokens = [(token,) for token in range(VOCABULARY_SIZE)]
    yield tokens
    for length in range(2, counts.order + 1):
        prefixes = counts.prefixes(length).tolist()
        lasts = counts.orders[length - 1].keys % VOCABULARY_SIZE
        tokens = [
            tokens[prefix] + (last,)
            for prefix, last in zip(prefixes, lasts.tolist(), strict=True)
        ]
        yield tokens


def test_counts_are_those_of_a_dictionary(documents, store, order):
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, order)
    assert counts.order == order
    shorter = [()]
    for length, tokens in enumerate(tokens_of(counts), start=1):
        grams = counts.orders[length - 1]
        expected = ngrams(documents, length)
        if length == 1:
            found = dict(zip(tokens, grams.counts.tolist(), strict=True))
            assert {k: n for k, n in found.items() if n} == expected
        else:
            assert tokens == sorted(expected)
            assert grams.counts.tolist() == [expected[t] for t in tokens]
            suffixes = [shorter[place] for place in grams.suffixes]
            assert suffixes == [token[1:] for token in tokens]
        begun = [token[0] == START for token in tokens]
        assert np.flatnonzero(begun).tolist() == list(
            range(*counts.begun(length).indices(len(tokens)))
        )
        shorter = tokens


def test_continuations_are_those_of_sets(documents, store, order):
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, order)
    for length, tokens in enumerate(tokens_of(counts), start=1):
        expected = continuations(documents, length, order)
        found = counts.continuations(length).tolist()
        assert found == [expected[token] for token in tokens]


def test_sums_are_by_prefix(store, order):
    counts = count(store.targets, store.starts, VOCABULARY_SIZE, order)
    for length in range(1, order + 1):
        sums = counts.sums(length, counts.orders[length - 1].counts)
        assert len(sums) == counts.contexts(length)
        # The last tokens of a text that was cut have nothing behind them.
        assert sums.sum() == counts.orders[length - 1].counts.sum()
    assert counts.sums(1, counts.orders[0].counts) == [len(store.targets)]


def test_another_text_is_found(documents, store, order):
    half = len(store.targets) // 2 + 1
    counts = count(store.targets[:half], store.starts, VOCABULARY_SIZE, order)
    contexts, found = find(counts, store.targets, store.starts)
    tokens = list(tokens_of(counts))
    for place, (history, target) in enumerate(observations(documents)):
        for length in range(1, order + 1):
            gram = (*history[len(history) - length + 1 :], target)
            known = tokens[length - 1]
            there = len(gram) == length and gram in known
            index = known.index(gram) if there else -1
            assert found[length - 1, place] == index
            if length > 1:
                shorter = tokens[length - 2]
                context = gram[:-1]
                there = len(gram) == length and context in shorter
                index = shorter.index(context) if there else -1
                assert contexts[length - 1, place] == index


def test_a_start_behind_the_last_target_is_nothing():
    counts = count(np.array([4, 5]), [0, 1, 2], VOCABULARY_SIZE, 2)
    assert list(tokens_of(counts))[1] == [(START, 4), (START, 5)]
