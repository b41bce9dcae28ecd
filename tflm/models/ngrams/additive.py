"""Maximum likelihood, and what adds to every count."""

import numpy as np

from tflm.models.ngrams.counts import Counts
from tflm.models.ngrams.tables import Table, interpolate


def maximum_likelihood(counts: Counts) -> list[Table]:
    """Relative frequencies: what was never seen after a context gets 0.

    A history that was never seen at all is shortened until it was.
    """

    def estimate(order: int) -> tuple[np.ndarray, np.ndarray]:
        occurrences = counts.orders[order - 1].counts
        totals = counts.sums(order, occurrences)
        shares = occurrences / totals[counts.prefixes(order)]
        return shares, np.where(totals > 0, 0.0, 1.0)

    return interpolate(counts, estimate)


def add_k(counts: Counts, k: float = 1.0) -> list[Table]:
    """Adds k to every count: Laplace's rule with 1, Lidstone's else.

    (c(h w) + k) / (c(h) + k V), the history taken whole: as many tokens as
    the order has room for, or all there are after START. A history that was
    never seen gives the uniform distribution. V leaves padding and START out.

    Args:
        counts: Of the training text.
        k: float above 0. Default 1.
    """

    def estimate(order: int) -> tuple[np.ndarray, np.ndarray]:
        occurrences = counts.orders[order - 1].counts
        totals = counts.sums(order, occurrences)
        if order < counts.order:
            # Cut histories: only those that START begins are whole.
            whole = np.zeros(len(totals), bool)
            if order > 1:
                whole[counts.begun(order - 1)] = True
            totals = np.where(whole, totals, 0.0)
        added = k * np.count_nonzero(counts.uniform())
        weights = added / (totals + added)
        prefixes = counts.prefixes(order)
        shares = occurrences / (totals + added)[prefixes]
        return np.where(totals[prefixes] > 0, shares, 0.0), weights

    return interpolate(counts, estimate)
