"""Jelinek-Mercer interpolation, its weights set on held-out text.

Axes: N targets of the held-out text, O orders, K buckets of contexts.
"""

import numpy as np

from tflm.models.ngrams.counts import Counts, find
from tflm.models.ngrams.tables import Table, interpolate

_BUCKETS = 24
_ROUNDS = 60
# More would tell the few weights nothing new.
_MOST_HELD_OUT = 2**18


def jelinek_mercer(counts: Counts, weights: np.ndarray) -> list[Table]:
    """Linear interpolation of the relative frequencies of all orders.

    p(w|h) = l c(h w) / c(h) + (1 - l) p(w|h'), where the weight l depends on
    the order and on how often the context h occurs, by powers of two. Below
    order 1 stands the uniform distribution.

    Args:
        counts: Of the training text.
        weights: float64 [O,K], from `held_out_weights`.

    Returns:
        A `Table` for each order.

    Reference: Jelinek and Mercer, "Interpolated estimation of Markov source
    parameters from sparse data", 1980.
    """

    def estimate(order: int) -> tuple[np.ndarray, np.ndarray]:
        occurrences = counts.orders[order - 1].counts
        totals = counts.sums(order, occurrences)
        own = np.where(totals > 0, weights[order - 1, _bucket(totals)], 0.0)
        rate = own / np.maximum(totals, 1)
        return occurrences * rate[counts.prefixes(order)], 1 - own

    return interpolate(counts, estimate)


def held_out_weights(
    counts: Counts, targets: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """The weights under which a held-out text is likeliest.

    Expectation maximisation, one weight for each order and each power of two
    of the context's count. Each weight starts from, and is drawn towards, one
    half by two made-up observations, so that none becomes 0 or 1.

    Args:
        counts: Of a text without the held-out one.
        targets: unsigned int [N]. The held-out text.
        starts: int. Where its documents start.

    Returns:
        float64 [O,K].
    """
    targets = np.asarray(targets[:_MOST_HELD_OUT])
    starts = starts[starts < len(targets)]
    frequencies, buckets = _observe(counts, targets, starts)  # [O,N]
    base = counts.uniform()[targets]  # [N]
    weights = np.full([counts.order, _BUCKETS], 0.5)
    for _ in range(_ROUNDS):
        weights = _maximise(weights, frequencies, buckets, base)
    return weights


def _observe(
    counts: Counts, targets: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each order's relative frequency, and its bucket, -1 if never seen."""
    contexts, found = find(counts, targets, starts)
    frequencies = np.zeros(found.shape)
    buckets = np.full(found.shape, -1)
    for row, grams in enumerate(counts.orders):
        totals = counts.sums(row + 1, grams.counts)
        if not len(grams.counts):
            continue
        total = np.where(contexts[row] >= 0, totals[contexts[row]], 0)
        occurrences = np.where(found[row] >= 0, grams.counts[found[row]], 0)
        frequencies[row] = occurrences / np.maximum(total, 1)
        buckets[row] = np.where(total > 0, _bucket(total), -1)
    return frequencies, buckets


def _maximise(
    weights: np.ndarray,
    frequencies: np.ndarray,
    buckets: np.ndarray,
    base: np.ndarray,
) -> np.ndarray:
    """One round: the weights [O,K] that the last ones make likeliest."""
    rows = np.arange(len(weights))[:, np.newaxis]
    own = np.where(buckets >= 0, weights[rows, buckets], 0.0)  # [O,N]
    probabilities = [base]
    for weight, frequency in zip(own, frequencies, strict=True):
        mixed = weight * frequency + (1 - weight) * probabilities[-1]
        probabilities.append(mixed)
    # The highest order is asked first; what it does not explain goes down.
    reached = np.ones(len(base))
    updated = np.empty_like(weights)
    for row in reversed(range(len(weights))):
        there = buckets[row] >= 0
        mixed = np.maximum(probabilities[row + 1], 1e-300)
        explained = reached * own[row] * frequencies[row] / mixed
        own_sums, sums = (
            np.bincount(buckets[row][there], share[there], minlength=_BUCKETS)
            for share in (explained, reached)
        )
        updated[row] = (own_sums + 1) / (sums + 2)
        reached = np.where(there, reached - explained, reached)
    return updated


def _bucket(totals: np.ndarray) -> np.ndarray:
    powers = np.log2(np.maximum(totals, 1)).astype(np.int64)
    return np.minimum(powers, _BUCKETS - 1)
