"""The parts of attention, for training: heads, their turns, their mixture.

As in `kernels`, each part has a gradient of its own.

Axes: B batch, H heads, T time, K keys, D width, W width of a head.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tflm.layers import row_part
from tflm.layers.fused import fused, fused_by_part
from tflm.layers.kernels import sum_of_rows

_NEVER = -1e9


def split_heads(
    joined: tf.Tensor,
    bias: tf.Tensor,
    heads: int,
    angles: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Queries, keys and values of every head, the first two of them turned.

    Args:
        joined: float [B,T,3D].
        bias: float32 [3D], added first.
        heads: int. H, which divides D.
        angles: Optional pair of float32 [B,1,T,W/2] or [1,1,T,W/2], cosine and
            sine of what pairs of numbers are turned by, see `turn`.

    Returns:
        Three float [B,H,T,W].

    Example:
    >>> parts = split_heads(tf.ones([1, 5, 12]), tf.zeros([12]), 2)
    >>> [part.shape.as_list() for part in parts]
    [[1, 2, 5, 2], [1, 2, 5, 2], [1, 2, 5, 2]]
    """
    batch, time, _ = tf.unstack(tf.shape(joined))
    width = joined.shape[-1] // 3
    inside = [batch, time, 3, heads, width // heads]
    bias_of_heads = [3, 1, heads, 1, width // heads]

    @tf.custom_gradient
    def run(
        joined: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], Callable]:
        parts = tf.transpose(tf.reshape(joined, inside), [2, 0, 3, 1, 4])
        parts = _split_heads(parts, tf.reshape(bias, bias_of_heads), angles)

        def gradient(*d_parts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            d = _join_heads(*d_parts, angles)  # [3,B,H,T,W]
            d = tf.reshape(tf.transpose(d, [1, 3, 0, 2, 4]), tf.shape(joined))
            return d, sum_of_rows(d)

        return parts, gradient

    return run(joined, bias)


def attend(
    queries: tf.Tensor,
    keys: tf.Tensor,
    values: tf.Tensor,
    seen: tf.Tensor,
    kept: tf.Tensor | None = None,
) -> tf.Tensor:
    """Attention: `softmax(queries keys' / sqrt(W)) values` of what is seen.

    Args:
        queries: float [B,H,T,W].
        keys: float [B,H,K,W].
        values: float [B,H,K,W].
        seen: bool [B,T,K] or [1,T,K].
        kept: Optional float [B,H,T,K], what the weights are multiplied by: a
            dropout mask, scaled.

    Returns:
        As `queries`.

    Reference: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. The sum
    in the softmax's gradient is taken over W instead of K as in Dao et al.,
    2022, https://arxiv.org/abs/2205.14135.

    Example:
    >>> one = tf.ones([1, 1, 2, 4])
    >>> seen = tf.constant([[[True, False], [True, True]]])
    >>> attend(one, one, one, seen).shape
    TensorShape([1, 1, 2, 4])
    """
    scale = 1 / math.sqrt(queries.shape[-1])
    dtype = queries.dtype
    # A kernel's results have no shape in the graph.
    queries, keys = (
        tf.ensure_shape(part, [None, *part.shape[1:]])
        for part in (queries, keys)
    )
    # A score may be added to it: half of what float16 can hold.
    never = tf.constant(max(_NEVER, float(dtype.min) / 2), dtype)
    unseen = tf.where(seen, tf.constant(0, dtype), never)[:, tf.newaxis]
    # oneDNN scales and masks in the product itself, if each row has a mask.
    batch, _, time, _ = tf.unstack(tf.shape(queries))
    shape = [batch, 1, time, tf.shape(keys)[2]]
    unseen = tf.broadcast_to(unseen, shape)
    unseen = tf.ensure_shape(unseen, [None, 1, None, None])  # [B,1,T,K]

    softmax_gradient = _softmax_gradient(row_part.index())

    @tf.custom_gradient
    def run(
        queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor
    ) -> tuple[tf.Tensor, Callable]:
        scores = tf.matmul(queries, keys, transpose_b=True) * scale + unseen
        shares = tf.nn.softmax(scores)  # [B,H,T,K]
        weights = shares if kept is None else shares * kept
        outputs = tf.matmul(weights, values)

        def gradient(d: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_weights = tf.matmul(d, values, transpose_b=True)
            if kept is not None:
                d_weights *= kept
            d_scores = softmax_gradient(d_weights, shares, d, outputs, scale)
            return (
                tf.matmul(d_scores, keys),
                tf.matmul(d_scores, queries, transpose_a=True),
                tf.matmul(weights, d, transpose_a=True),
            )

        return outputs, gradient

    return run(queries, keys, values)


def turn(vectors: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor) -> tf.Tensor:
    """Turns pairs of numbers by angles.

    Args:
        vectors: float32 [...,W], W even. Numbers i and i + W/2 are a pair.
        cosine: float32 of a shape that broadcasts to [...,W/2].
        sine: float32, likewise.

    Returns:
        As `vectors`.

    Reference: Su et al., 2021, https://arxiv.org/abs/2104.09864.

    Example:
    >>> east = tf.constant([[1.0, 0.0]])
    >>> turn(east, tf.constant([0.0]), tf.constant([1.0])).numpy().tolist()
    [[0.0, 1.0]]
    """
    left, right = tf.split(vectors, 2, axis=-1)
    both = [left * cosine - right * sine, right * cosine + left * sine]
    return tf.concat(both, axis=-1)


@fused
def _split_heads(
    parts: tf.Tensor,
    bias: tf.Tensor,
    angles: tuple[tf.Tensor, tf.Tensor] | None,
) -> tuple[tf.Tensor, ...]:
    split = tf.unstack(tf.cast(parts, tf.float32) + bias)
    if angles is not None:
        split[:2] = [turn(part, *angles) for part in split[:2]]
    return tuple(tf.cast(part, parts.dtype) for part in split)


@fused
def _join_heads(
    d_queries: tf.Tensor,
    d_keys: tf.Tensor,
    d_values: tf.Tensor,
    angles: tuple[tf.Tensor, tf.Tensor] | None,
) -> tf.Tensor:
    split = [tf.cast(d, tf.float32) for d in (d_queries, d_keys, d_values)]
    if angles is not None:  # turned back
        cosine, sine = angles
        split[:2] = [turn(part, cosine, -sine) for part in split[:2]]
    return tf.cast(tf.stack(split), d_values.dtype)


@fused_by_part
def _softmax_gradient(
    d_weights: tf.Tensor,
    shares: tf.Tensor,
    d_outputs: tf.Tensor,
    outputs: tf.Tensor,
    scale: float,
) -> tf.Tensor:
    d, share, d_output, output = (
        tf.cast(t, tf.float32) for t in (d_weights, shares, d_outputs, outputs)
    )
    mean = tf.reduce_sum(d_output * output, -1, keepdims=True)  # [B,H,T,1]
    return tf.cast(share * (d - mean) * scale, d_weights.dtype)
