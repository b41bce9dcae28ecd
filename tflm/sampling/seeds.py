"""A seed for every row, from the setting `seed`. Axes: B batch."""

import tensorflow as tf

FRESH = -1


def row_seeds(seed: tf.Tensor, batch_size: int | tf.Tensor) -> tf.Tensor:
    """Gives every row its own seed.

    Args:
        seed: int32. A vector [B] holds each row's seed; a scalar s stands for
            s + b in row b. -1, alone or in a vector, stands for a seed drawn
            afresh for each row at each call.
        batch_size: Number of rows, int or int32 scalar.

    Returns:
        int32[B].

    Example:
    >>> row_seeds(tf.constant(5), 3).numpy().tolist()
    [5, 6, 7]
    >>> row_seeds(tf.constant([5, 9]), 2).numpy().tolist()
    [5, 9]
    """
    own = tf.where(tf.equal(tf.rank(seed), 0), tf.range(batch_size), 0)  # [B]
    # The raw operation: tf.random's would repeat its numbers in every process
    # that loads an export made after a call of tf.random.set_seed.
    fresh = tf.raw_ops.RandomUniformInt(
        shape=[batch_size], minval=0, maxval=tf.int32.max, seed=0, seed2=0
    )  # [B]
    return tf.where(tf.equal(seed, FRESH), fresh, seed + own)
