"""What narrows the logits before a draw, each row by its own settings.

The order is: temperature, top-k, top-p, min-p. A token that is out gets the
logit -inf. Among equal logits the lowest id comes first.

Axes: B batch, V vocabulary, K the highest logits of a row, in order.
"""

from collections.abc import Callable

import tensorflow as tf

from tflm.sampling.settings import RowSettings

_OUT = float("-inf")
# A lower temperature would take finite logits beyond float32.
_LOWEST_TEMPERATURE = 1e-30


def filter_logits(
    logits: tf.Tensor,
    settings: RowSettings,
    min_p: float = 0.0,
    fixed: bool = False,
) -> tf.Tensor:
    """Applies temperature, top-k, top-p and min-p, in this order.

    Args:
        logits: float32[B,V], the banned ids already out.
        settings: Settings of each row, from `row_settings`.
        min_p: float, for all rows, see `keep_min_p`. Default 0: off.
        fixed: bool. Whether all logits are put in order instead of as many as
            the settings ask for, as XLA wants it. Default False.

    Returns:
        float32[B,V].

    Example:
    >>> from tflm.sampling import row_settings
    >>> settings = row_settings(1, temperature=0.5, top_k=2)
    >>> filter_logits(tf.constant([[1.0, 3.0, 2.0]]), settings).numpy()
    array([[-inf,   6.,   4.]], dtype=float32)
    """
    logits = scale(logits, settings.temperature)
    logits = keep_top_k(logits, settings.top_k, fixed)
    logits = keep_top_p(logits, settings.top_p, fixed)
    return keep_min_p(logits, min_p) if min_p else logits


def ban(logits: tf.Tensor, banned: tf.Tensor) -> tf.Tensor:
    """Takes the `banned` ids, bool[V], out of every row of `logits` [B,V].

    >>> ban(tf.constant([[1.0, 2.0]]), tf.constant([False, True])).numpy()
    array([[  1., -inf]], dtype=float32)
    """
    return tf.where(banned, _OUT, logits)


def scale(logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """Divides each row of `logits` [B,V] by its `temperature`, float32[B].

    A row with temperature 0 stays as it is: its highest logit is taken.

    >>> scale(tf.constant([[1.0, 2.0]]), tf.constant([0.5])).numpy().tolist()
    [[2.0, 4.0]]
    """
    divisor = tf.maximum(temperature, _LOWEST_TEMPERATURE)
    divisor = tf.where(temperature > 0, divisor, 1.0)
    return _where_on(
        divisor != 1, logits, lambda: logits / divisor[:, tf.newaxis]
    )


def keep_top_k(
    logits: tf.Tensor, top_k: tf.Tensor, fixed: bool = False
) -> tf.Tensor:
    """Keeps exactly the `top_k` highest of each row, int32[B]; 0 is off.

    >>> row = tf.constant([[1.0, 3.0, 3.0, 2.0]])
    >>> keep_top_k(row, tf.constant([1])).numpy()
    array([[-inf,   3., -inf, -inf]], dtype=float32)
    """
    vocabulary_size = tf.shape(logits)[1]
    on = (top_k > 0) & (top_k < vocabulary_size)

    def filtered() -> tf.Tensor:
        counts = tf.where(on, top_k, vocabulary_size)
        ordered = _ordered(logits, None if fixed else tf.reduce_max(counts))
        return _keep_highest(logits, ordered, counts)

    return _where_on(on, logits, filtered)


def keep_top_p(
    logits: tf.Tensor, top_p: tf.Tensor, fixed: bool = False
) -> tf.Tensor:
    """Keeps the fewest tokens whose probability reaches `top_p`, float32[B].

    The likeliest come first: a token stays while those before it have
    together less than `top_p`. 1 is off.

    >>> row = tf.math.log([[0.2, 0.7, 0.1]])
    >>> tf.math.is_finite(keep_top_p(row, tf.constant([0.8]))).numpy()
    array([[ True,  True, False]])
    """
    on = top_p < 1

    def filtered() -> tf.Tensor:
        # Only what earlier filters left needs an order.
        left = tf.math.count_nonzero(logits > _OUT, axis=1, dtype=tf.int32)
        ordered = _ordered(logits, None if fixed else tf.reduce_max(left))
        # float64: sums of many small float32 numbers miss the bound.
        shares = tf.nn.softmax(tf.cast(ordered, tf.float64))
        before = tf.cumsum(shares, axis=1, exclusive=True)
        bound = tf.cast(top_p, tf.float64)[:, tf.newaxis]  # [B,1]
        stays = before < bound
        counts = tf.math.count_nonzero(stays, axis=1, dtype=tf.int32)
        counts = tf.where(on, counts, tf.shape(ordered)[1])
        return _keep_highest(logits, ordered, counts)

    return _where_on(on, logits, filtered)


def keep_min_p(logits: tf.Tensor, min_p: float) -> tf.Tensor:
    """Keeps what is at least `min_p` times as likely as the likeliest.

    Reference: Nguyen et al., 2024, https://arxiv.org/abs/2407.01082.

    >>> row = tf.math.log([[0.2, 0.7, 0.1]])
    >>> tf.math.is_finite(keep_min_p(row, 0.25)).numpy()
    array([[ True,  True, False]])
    """
    highest = tf.reduce_max(logits, axis=1, keepdims=True)  # [B,1]
    ratios = tf.exp(logits - highest)
    return tf.where(ratios >= min_p, logits, _OUT)


def _where_on(
    on: tf.Tensor, logits: tf.Tensor, filtered: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """The filtered logits, computed only if a row has the filter on."""
    return tf.cond(tf.reduce_any(on), filtered, lambda: logits)


def _ordered(logits: tf.Tensor, count: tf.Tensor | None) -> tf.Tensor:
    """The highest of each row, [B,K], as many or all."""
    return tf.math.top_k(logits, logits.shape[1] if count is None else count)[0]


def _keep_highest(
    logits: tf.Tensor, ordered: tf.Tensor, counts: tf.Tensor
) -> tf.Tensor:
    """Keeps the first `counts` [B] of each row; `ordered` [B,K] has them."""
    lowest = tf.gather(ordered, counts - 1, batch_dims=1)[
        :, tf.newaxis
    ]  # [B,1]
    above = logits > lowest
    level = tf.cast(logits == lowest, tf.int32)
    room = counts - tf.math.count_nonzero(above, axis=1, dtype=tf.int32)
    first = tf.cumsum(level, axis=1) <= room[:, tf.newaxis]
    return tf.where(above | ((level > 0) & first), logits, _OUT)
