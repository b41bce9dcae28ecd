"""Kneser-Ney smoothing, interpolated, with three discounts an order."""

from collections.abc import Sequence

import numpy as np

from tflm.models.ngrams.counts import Counts
from tflm.models.ngrams.tables import Table, interpolate

Discounts = tuple[float, float, float]

# For n-grams counted once, twice, more often, where the text has too few of
# them to say it; lmplz takes the same with `--discount_fallback`.
FALLBACK: Discounts = (0.5, 1.0, 1.5)


def kneser_ney(
    counts: Counts, discounts: Sequence[Discounts] | None = None
) -> list[Table]:
    """Interpolated modified Kneser-Ney smoothing.

    Each n-gram gives up a discount, which its context hands down to the
    shorter history; below the highest order an n-gram counts by how many
    different tokens stand before it. Below order 1 stands the uniform
    distribution, so that every token has a probability.

    Args:
        counts: Of the training text.
        discounts: Optional, for each order from 1 up, what an n-gram gives up
            that counts 1, 2, or more. Default None: estimated from the text
            as in equation 26 of the reference, and `FALLBACK` for an order
            where that is undefined or out of range.

    Returns:
        A `Table` for each order.

    Reference: Chen and Goodman, "An empirical study of smoothing techniques
    for language modeling", Computer Speech and Language 13, 1999. The
    original method (Kneser and Ney, 1995) has one discount for all counts.
    """

    def estimate(order: int) -> tuple[np.ndarray, np.ndarray]:
        adjusted = counts.continuations(order)
        given = discounts[order - 1] if discounts else _discounts(adjusted)
        classes = np.minimum(adjusted, 3)
        given_up = np.array([0.0, *given])[classes]
        totals = counts.sums(order, adjusted)
        weights = counts.sums(order, given_up)
        seen = totals > 0
        np.divide(weights, totals, out=weights, where=seen)
        weights[~seen] = 1
        shares = adjusted - given_up
        shares /= np.maximum(totals, 1)[counts.prefixes(order)]
        return shares, weights

    return interpolate(counts, estimate)


def one_discount(order: int, discount: float) -> list[Discounts]:
    """Discounts of the original method, order 1 undiscounted as in NLTK.

    >>> one_discount(order=2, discount=0.1)
    [(0.0, 0.0, 0.0), (0.1, 0.1, 0.1)]
    """
    return [(0.0,) * 3] + [(discount,) * 3] * (order - 1)


def _discounts(adjusted: np.ndarray) -> Discounts:
    seen = np.bincount(np.minimum(adjusted, 5), minlength=6).astype(float)
    if not seen[1:4].all():
        return FALLBACK
    y = seen[1] / (seen[1] + 2 * seen[2])
    estimated = [j - (j + 1) * y * seen[j + 1] / seen[j] for j in (1, 2, 3)]
    if any(not 0 <= d <= j for j, d in enumerate(estimated, start=1)):
        return FALLBACK
    return estimated[0], estimated[1], estimated[2]
