"""Katz's back-off with the discounts of Good and Turing."""

import numpy as np

from tflm.models.ngrams.counts import Counts
from tflm.models.ngrams.tables import Table, make_table

# Counts above this are believed.
_MOST_DISCOUNTED = 5


def katz(counts: Counts) -> list[Table]:
    """Back-off: the shorter history tells of what was never seen, alone.

    Counts up to 5 are discounted as Good and Turing say; an order where that
    is undefined or out of range takes 0.5 off every count instead. What the
    discounts leave over goes to the tokens never seen after the context, in
    proportion to their probability after the shorter history, at order 1 in
    equal parts. A context that discounts leave nothing over of gives one
    count to them.

    Reference: Katz, "Estimation of probabilities from sparse data for the
    language model component of a speech recognizer", 1987.

    Args:
        counts: Of the training text.

    Returns:
        A `Table` for each order.
    """
    tables: list[Table] = []
    lower = counts.uniform()
    possible = int(np.count_nonzero(lower))
    for order, grams in enumerate(counts.orders, start=1):
        prefixes = counts.prefixes(order)
        shares, left = _discounted(counts, order, possible)
        inherited = lower[grams.suffixes]
        seen = grams.counts > 0
        # What the shorter history gives to tokens never seen here.
        unseen = 1 - counts.sums(order, np.where(seen, inherited, 0.0))
        some = counts.sums(order, seen) < possible
        weights = np.ones(len(left))
        np.divide(left, unseen, out=weights, where=some)
        if order > 1:
            shorter = counts.orders[order - 2]
            tables.append(make_table(shorter.keys, lower, weights))
        lower = np.where(seen, shares, weights[prefixes] * inherited)
    keys = counts.orders[-1].keys
    return [*tables, make_table(keys, lower, np.ones(len(keys)))]


def _discounted(
    counts: Counts, order: int, possible: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of seen n-grams [S], and what each context has left."""
    occurrences = counts.orders[order - 1].counts
    prefixes = counts.prefixes(order)
    kept = _kept(occurrences)
    totals = counts.sums(order, occurrences)
    whole = counts.sums(order, kept)
    some = counts.sums(order, occurrences > 0) < possible
    # One count more where nothing is left over but needed, none left over
    # where every token was seen.
    totals = np.where(some, np.maximum(totals, whole), whole)
    totals += some & (totals - whole < 1e-9)
    left = np.where(some, 1 - whole / totals, 0.0)
    return kept / totals[prefixes], left


def _kept(occurrences: np.ndarray) -> np.ndarray:
    """The counts less their discounts, float64 [S]."""
    seen = np.bincount(
        np.minimum(occurrences, _MOST_DISCOUNTED + 2),
        minlength=_MOST_DISCOUNTED + 3,
    ).astype(float)
    r = np.arange(1, _MOST_DISCOUNTED + 1)
    share = np.ones(_MOST_DISCOUNTED + 2)  # by count, the last for all above
    if seen[1 : _MOST_DISCOUNTED + 1].all():
        common = (_MOST_DISCOUNTED + 1) * seen[_MOST_DISCOUNTED + 1] / seen[1]
        turing = (r + 1) * seen[r + 1] / (r * seen[r])
        if common < 1:
            share[r] = (turing - common) / (1 - common)
    if not (share[1] < 1 and (share > 0).all() and (share <= 1).all()):
        return np.maximum(occurrences - 0.5, 0.0)
    return occurrences * share[np.minimum(occurrences, _MOST_DISCOUNTED + 1)]
