"""Attention of one query a row, outside of training.

Axes: B batch, H heads, W width of a head, K keys.
"""

import math

import tensorflow as tf


def scores(
    queries: tf.Tensor, keys: tf.Tensor, transpose_keys: bool = False
) -> tf.Tensor:
    """How much each query asks for each key.

    Args:
        queries: float [B,H,1,W].
        keys: float [B,H,W,K], or transposed, of the dtype of the queries.
        transpose_keys: bool. Whether they are, [B,H,K,W]. Default False.

    Returns:
        float32 [B,H,1,K].

    Example:
    >>> scores(tf.ones([1, 1, 1, 4]), tf.ones([1, 1, 4, 3])).numpy().tolist()
    [[[[2.0, 2.0, 2.0]]]]
    """
    product = _product(queries, keys, transpose_keys)
    return tf.cast(product, tf.float32) / math.sqrt(queries.shape[-1])


def mixture(scores: tf.Tensor, values: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """The values of keys, mixed by the softmax of their scores.

    Args:
        scores: float32 [B,H,1,K].
        values: float [B,H,.,W] each, of all K keys together.

    Returns:
        [B,H,1,W] in the dtype of the values.

    Example:
    >>> values = tf.reshape([1.0, 2.0, 6.0], [1, 1, 3, 1])
    >>> equal = tf.zeros([1, 1, 1, 3])
    >>> mixture(equal, (values[:, :, :1], values[:, :, 1:])).numpy().item()
    3.0
    """
    # `tf.nn.softmax` is oneDNN's, see `_product`; the sum is divided by at the
    # end, where the numbers are fewer.
    highest = tf.reduce_max(scores, axis=-1, keepdims=True)
    weights = tf.exp(scores - highest)
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)  # [B,H,1,1]
    dtype = values[0].dtype
    counts = [tf.shape(part)[2] for part in values]
    parts = tf.split(tf.cast(weights, dtype), counts, axis=3)
    mixed = tf.add_n(list(map(_product, parts, values)))  # [B,H,1,W]
    return mixed / tf.cast(total, dtype)


def _product(
    left: tf.Tensor, right: tf.Tensor, transpose_b: bool = False
) -> tf.Tensor:
    if left.dtype != tf.float32:
        return tf.matmul(left, right, transpose_b=transpose_b)
    # TensorFlow has oneDNN make other products of matrices, whose threads take
    # longer to wake up than one of so few numbers takes.
    return tf.raw_ops.BatchMatMulV3(
        x=left, y=right, adj_y=transpose_b, Tout=left.dtype
    )
