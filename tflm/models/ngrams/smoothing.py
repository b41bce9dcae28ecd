"""From a text to the tables of an n-gram model, by a method's name."""

import numpy as np

from tflm import checked, config
from tflm.models.ngrams.additive import add_k as add
from tflm.models.ngrams.additive import maximum_likelihood
from tflm.models.ngrams.counts import count
from tflm.models.ngrams.jelinek_mercer import held_out_weights, jelinek_mercer
from tflm.models.ngrams.katz import katz
from tflm.models.ngrams.kneser_ney import kneser_ney, one_discount
from tflm.models.ngrams.tables import Table
from tflm.pipelines import TokenStore

# The share of the training text, its last part, that sets the weights of an
# interpolation which is given no held-out text.
_SET_ASIDE = 0.1


def estimate(
    store: TokenStore,
    vocabulary_size: int,
    order: int,
    smoothing: str = "kneser_ney",
    *,
    add_k: float = 1.0,
    discount: float | None = None,
    held_out: TokenStore | None = None,
) -> list[Table]:
    """Counts a text and smooths the counts.

    Args:
        store: The training text.
        vocabulary_size: int. Number of ids, V.
        order: int, at least 1.
        smoothing: One of `config.SMOOTHINGS`. Default "kneser_ney".
        add_k: float above 0. What "laplace" adds to each count. Default 1.
        discount: Optional float in [0, 1]. The one discount of "kneser_ney"
            as it was first published, none at order 1. Default None: three
            an order, estimated from the text.
        held_out: Optional text on which "interpolation" sets its weights.
            Default None: the last tenth of the training text, which is then
            counted too.

    Returns:
        A `Table` for each order.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1. Received: order={order}")
    if smoothing not in config.SMOOTHINGS:
        raise ValueError(
            checked.unknown("smoothing", smoothing, config.SMOOTHINGS)
        )
    if add_k <= 0:
        raise ValueError(f"`add_k` must be above 0. Received: add_k={add_k}")
    if discount is not None and not 0 <= discount <= 1:
        raise ValueError(
            f"`discount` must be in [0, 1]. Received: discount={discount}"
        )
    weights = None
    if smoothing == "interpolation":
        weights = _weights(store, held_out, vocabulary_size, order)
    counts = count(store.targets, store.starts, vocabulary_size, order)
    if weights is not None:
        return jelinek_mercer(counts, weights)
    if smoothing == "mle":
        return maximum_likelihood(counts)
    if smoothing == "laplace":
        return add(counts, add_k)
    if smoothing == "backoff":
        return katz(counts)
    one = None if discount is None else one_discount(order, discount)
    return kneser_ney(counts, one)


def _weights(
    store: TokenStore,
    held_out: TokenStore | None,
    vocabulary_size: int,
    order: int,
) -> np.ndarray:
    """The weights of an interpolation, set on text that is not counted."""
    targets, starts = store.targets, store.starts
    if held_out is not None:
        counts = count(targets, starts, vocabulary_size, order)
        return held_out_weights(counts, held_out.targets, held_out.starts)
    cut = int(len(targets) * (1 - _SET_ASIDE))
    counts = count(targets[:cut], starts, vocabulary_size, order)
    # The part set aside begins as a document does, where none does there.
    later = np.union1d([0], starts[starts >= cut] - cut)
    return held_out_weights(counts, targets[cut:], later)
