"""Cross-entropy against a sample of the vocabulary, for training only.

Axes: N targets, S sampled ids, D width, V vocabulary.
"""

import numpy as np
import tensorflow as tf

_NEVER = -1e9


def summed_nats(
    hidden: tf.Tensor,
    table: tf.Tensor,
    bias: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    num_sampled: int,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Weighted cross-entropy of the targets among themselves and a sample.

    The sample is one for all targets. Each logit is lessened by the logarithm
    of its id's chance to be drawn, which makes the full softmax the optimum.
    The value is no estimate of the full cross-entropy: scores need the latter.

    Args:
        hidden: float [N,D]; its dtype is that of the products.
        table: float32 [V,D], a row for each id.
        bias: float32 [V].
        targets: int [N].
        weights: float32 [N].
        num_sampled: int, the expected size of the sample, S < V.
        seed: int32 or uint32 [2].

    Returns:
        float32 scalar: the sum of `weights` times the targets' nats.

    Reference: Jean et al., "On using very large target vocabulary for neural
    machine translation", 2015, https://arxiv.org/abs/1412.2007.

    Example:
    >>> nats = summed_nats(
    ...     tf.ones([3, 2]), tf.ones([9, 2]), tf.zeros([9]),
    ...     tf.constant([0, 1, 2]), tf.ones([3]), num_sampled=4, seed=[1, 2],
    ... )
    >>> nats.shape
    TensorShape([])
    """
    chances = chances_of(table.shape[0], num_sampled)
    # Each id by itself: for a sample of fixed size the chances would not do.
    uniform = tf.random.stateless_uniform(chances.shape, seed, alg="philox")
    ids = tf.cast(tf.where(uniform < chances)[:, 0], tf.int32)  # [S]
    rows = tf.cast(tf.gather(table, ids), hidden.dtype)  # [S,D]
    logits = tf.matmul(hidden, rows, transpose_b=True)  # [N,S]
    logits = tf.cast(logits, tf.float32) + tf.gather(bias, ids)
    logits -= tf.math.log(tf.gather(chances, ids))
    is_target = tf.cast(targets, tf.int32)[:, tf.newaxis] == ids
    logits = tf.where(is_target, _NEVER, logits)
    rows = tf.gather(table, targets)  # [N,D]
    of_target = tf.reduce_sum(tf.cast(hidden, tf.float32) * rows, axis=1)
    of_target += tf.gather(bias, targets)
    of_target -= tf.math.log(tf.gather(chances, targets))  # [N]
    every = tf.concat([of_target[:, tf.newaxis], logits], axis=1)  # [N,S+1]
    nats = tf.reduce_logsumexp(every, axis=1) - of_target
    return tf.reduce_sum(nats * weights)


def chances_of(vocabulary_size: int, num_sampled: float) -> np.ndarray:
    """The chance of each id to be in a sample: high for low ids.

    They are those of a number of draws in which id i has the share
    log((i + 2) / (i + 1)) / log(V + 1), as words have it by their rank.

    Args:
        vocabulary_size: int, V.
        num_sampled: The sum of the chances, S < V.

    Returns:
        float32 [V].

    Example:
    >>> chances = chances_of(100, 30)
    >>> print(f"{chances.sum():.1f} {chances[0]:.2f} {chances[99]:.2f}")
    30.0 1.00 0.11
    """
    shares = np.log1p(1 / np.arange(1.0, vocabulary_size + 1))
    fewest, most = 0.0, 1e9
    for _ in range(100):  # halves the interval of the number of draws
        draws = (fewest + most) / 2
        chances = -np.expm1(-draws * shares)
        if chances.sum() < num_sampled:
            fewest = draws
        else:
            most = draws
    return chances.astype(np.float32)
