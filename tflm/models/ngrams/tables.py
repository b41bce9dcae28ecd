"""N-grams with probabilities, in the form of an ARPA file.

The probability of a token w after a history h is that of the n-gram h w where
there is one; else the back-off weight of h (1 where h was never seen) times
the probability of w after h without its first token. A method of smoothing
that interpolates stores what it comes to, so that this form loses nothing.

Axes: S n-grams of an order, V vocabulary.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from tflm.models.ngrams.counts import Counts, Grams

# The key of the last entry of a table, which stands for all n-grams that are
# not there: as a context its weight is 1, and its own prefix has no others.
ABSENT = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Table:
    """The n-grams of one order, and a last entry for all that are not there.

    Attributes:
        keys: int64 [S + 1], ascending, as `Grams.keys`; the last is `ABSENT`.
            Of order 1 all V ids are there.
        log_probs: float32 [S + 1]. Natural logarithms.
        backoffs: float32 [S + 1]. Of the weights; all 0 at the highest order.
    """

    keys: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray


def make_table(
    keys: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> Table:
    """A `Table` of n-grams [S] with their probabilities and weights."""
    with np.errstate(divide="ignore"):  # the logarithm of 0 is meant
        log_probs = np.log(probabilities, dtype=np.float64)
        backoffs = np.log(weights, dtype=np.float64)
    return Table(
        np.append(keys, ABSENT),
        np.append(log_probs, 0).astype(np.float32),
        np.append(backoffs, 0).astype(np.float32),
    )


def uniform(vocabulary_size: int, order: int) -> list[Table]:
    """The tables of a model that has seen nothing.

    >>> np.exp(uniform(vocabulary_size=6, order=1)[0].log_probs).tolist()
    [0.0, 0.25, 0.0, 0.25, 0.25, 0.25, 1.0]
    """
    none = np.zeros(0, np.int64)
    ids = np.arange(vocabulary_size)
    share = Counts(vocabulary_size, []).uniform()
    tables = [make_table(ids, share, np.ones(vocabulary_size))]
    return tables + [make_table(none, none, none)] * (order - 1)


def interpolate(
    counts: Counts,
    estimate: Callable[[int], tuple[np.ndarray, np.ndarray]],
) -> list[Table]:
    """The tables of an interpolated model.

    The probability of an n-gram is its share plus its context's weight times
    the probability of its suffix; below order 1 stands the uniform
    distribution. Where a context was never counted its weight is 1.

    Args:
        counts: Of the training text.
        estimate: Gives, for an order, the shares float64 [S] and the weights
            of the contexts, float64 [contexts].

    Returns:
        A `Table` for each order.
    """
    tables = []
    lower = counts.uniform()
    shorter: Grams | None = None
    for order, grams in enumerate(counts.orders, start=1):
        probabilities, weights = estimate(order)
        if shorter is not None:
            tables.append(make_table(shorter.keys, lower, weights))
        inherited = weights[counts.prefixes(order)]
        inherited *= lower[grams.suffixes]
        inherited += probabilities
        lower, shorter = inherited, grams
    assert shorter is not None  # there is at least order 1
    tables.append(make_table(shorter.keys, lower, np.ones(len(lower))))
    return tables
