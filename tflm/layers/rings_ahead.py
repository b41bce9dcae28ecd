"""Attention of tokens that are read one by one, where nobody asks for a ring.

A ring that is written at each token is copied at each token. Here the keys and
values of new tokens stand in a buffer, and are put behind the earlier ones when
it is full. The earlier ones stand in the order of time, as many as the longest
row has, and end together.

Axes: B batch, H heads, W width of a head, C context, F earlier positions,
S positions of the buffer.
"""

import tensorflow as tf

from tflm.layers import single_queries
from tflm.layers.rings import Pair

_NEVER = -1e9


def unrolled(
    ring: Pair, position: tf.Tensor, dtype: tf.DType, fixed: bool = False
) -> Pair:
    """Keys and values of a ring in the order of time, the last ones last.

    Args:
        ring: Pair of float32 [B,H,C,W], see `rings`.
        position: int32 [B]. Positions written so far.
        dtype: Of the results.
        fixed: bool. Whether all C are there, however few are filled. Default
            False.

    Returns:
        Keys [B,H,W,F], because a single query's product with columns is twice
        as fast, and values [B,H,F,W].

    Example:
    >>> ring = tf.reshape(tf.range(4.0), [1, 1, 4, 1])
    >>> keys, values = unrolled((ring, ring), tf.constant([6]), tf.float32)
    >>> keys[0, 0, 0].numpy()
    array([2., 3., 0., 1.], dtype=float32)
    """
    filled = context = ring[0].shape[2]
    if not fixed:
        longest = tf.reduce_max(tf.concat([position, [0]], axis=0))
        filled = tf.minimum(longest, context)
    places = position[:, tf.newaxis] - filled + tf.range(filled)  # [B,F]
    keys, values = (
        tf.gather(tf.cast(part, dtype), places % context, axis=2, batch_dims=1)
        for part in ring
    )
    return tf.transpose(keys, [0, 1, 3, 2]), values


def nothing(earlier: Pair, count: int | None = None) -> Pair:
    """An empty buffer, float [B,H,S,W] each, see `written`.

    Args:
        earlier: Keys and values, see `unrolled`.
        count: Optional int, S. Default None: the buffer grows.

    Returns:
        Two tensors of zeros.
    """
    keys, values = earlier
    batch, heads, width, _ = tf.unstack(tf.shape(keys))
    empty = tf.zeros([batch, heads, count or 0, width], values.dtype)
    shape = [None, keys.shape[1], count, keys.shape[2]]
    # Of which a loop does not know that it has no positions.
    empty = tf.raw_ops.PlaceholderWithDefault(input=empty, shape=shape)
    return empty, empty


def appended(earlier: Pair, buffer: Pair, context: int) -> Pair:
    """The last C of the earlier keys and values and those of a full buffer."""
    keys, values = buffer
    keys = tf.concat([earlier[0], tf.transpose(keys, [0, 1, 3, 2])], axis=3)
    values = tf.concat([earlier[1], values], axis=2)
    return keys[..., -context:], values[:, :, -context:]


def unseen(
    earlier: Pair,
    size: int | tf.Tensor,
    position: tf.Tensor,
    time: tf.Tensor,
    context: int,
) -> tf.Tensor:
    """What is added to the scores of one token of each row.

    Args:
        earlier: Keys and values, see `unrolled`.
        size: Positions in the buffer with the token's, S.
        position: int32 [B], the token's.
        time: int32, scalar. The token's place in the buffer.
        context: int. Positions that are seen, C.

    Returns:
        float32 [B,1,1,F+S], 0 or far below it.
    """
    count = tf.shape(earlier[1])[2]  # F
    # Of each key, how far it lies behind the token.
    distance = count + time - tf.range(count + size)
    seen = (distance >= 0) & (distance < context)  # [F+S]
    there = distance <= position[:, tf.newaxis]  # [B,F+S]
    return tf.where(seen & there, 0.0, _NEVER)[:, tf.newaxis, tf.newaxis]


def written(buffer: Pair, new: Pair, time: tf.Tensor | None = None) -> Pair:
    """The buffer with the keys and values of a token, [B,H,1,W] each.

    They stand at place `time`, an int32 scalar, or at the end of a buffer that
    grows.
    """
    if time is None:
        keys, values = (
            tf.concat(pair, axis=2) for pair in zip(buffer, new, strict=True)
        )
        return keys, values
    places = tf.range(tf.shape(buffer[0])[2])
    now = (places == time)[:, tf.newaxis]  # [S,1]
    keys, values = (
        tf.where(now, one, old) for one, old in zip(new, buffer, strict=True)
    )
    return keys, values


def attend(
    queries: tf.Tensor, earlier: Pair, buffer: Pair, unseen: tf.Tensor
) -> tf.Tensor:
    """What queries [B,H,1,W] attend to, in both parts; as the queries."""
    scores = tf.concat(
        [
            single_queries.scores(queries, earlier[0]),
            single_queries.scores(queries, buffer[0], transpose_keys=True),
        ],
        axis=3,
    )  # [B,H,1,F+S]
    return single_queries.mixture(scores + unseen, (earlier[1], buffer[1]))
