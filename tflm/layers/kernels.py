"""The element-wise parts of a transformer block, for training.

TensorFlow's gradients take these apart into a dozen passes over memory. Here
each part is one kernel forward and one backward, where XLA can make it, and
keeps no more than its backward needs. Products are TensorFlow's own, which on
a CPU are several times faster than XLA's.

Axes: B batch, H heads, T time, K keys, W width of a head, N positions of all
rows, D width, E width behind a product, ... any.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tflm.layers.fused import fused

_GELU = math.sqrt(2 / math.pi)
_CUBIC = 0.044715
_NEVER = -1e9


@tf.custom_gradient
def standardize(
    inputs: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
    """The inputs, and the inputs with mean 0 and variance 1 over the last axis.

    LayerNorm without its scale and shift, which go into the weights that come
    next: see `affine_into`. The epsilon is 1e-5. Who goes on with the inputs as
    well takes them from here: both gradients are added up in one kernel.
    Reference: Ba et al., 2016, https://arxiv.org/abs/1607.06450.

    >>> _, outputs = standardize(tf.constant([[1.0, 3.0]]))
    >>> outputs.numpy().round(3)
    array([[-1.,  1.]], dtype=float32)
    """
    outputs, scale = _standardize(inputs)
    return (
        (tf.identity(inputs), outputs),
        lambda beside, d: _standardize_gradient(beside, d, outputs, scale),
    )


def affine_into(
    scale: tf.Tensor, shift: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Kernel [D,E] and bias [E] that also scale [D] and shift [D] before.

    >>> kernel, bias = affine_into(
    ...     tf.constant([2.0]), tf.constant([1.0]),
    ...     tf.constant([[3.0]]), tf.constant([4.0]),
    ... )
    >>> kernel.numpy().tolist(), bias.numpy().tolist()
    ([[6.0]], [7.0])
    """
    shifted = tf.linalg.matvec(kernel, shift, transpose_a=True)
    return scale[:, tf.newaxis] * kernel, bias + shifted


@tf.custom_gradient
def affine(
    inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor
) -> tuple[tf.Tensor, Callable]:
    """`inputs * scale + shift`, of float [...,D] and float32 [D], as inputs.

    >>> two = tf.constant([2.0])
    >>> affine(tf.constant([[3.0]]), two, two).numpy().tolist()
    [[8.0]]
    """

    def gradient(d: tf.Tensor) -> tuple[tf.Tensor, ...]:
        d_inputs, d_scale = _affine_gradient(d, inputs, scale)
        return d_inputs, _sum_of_rows(d_scale), _sum_of_rows(d)

    return _affine(inputs, scale, shift), gradient


@tf.custom_gradient
def product(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`inputs @ kernel`, of float [...,D] and float32 [D,E], as the inputs.

    The gradient of the kernel is float32.

    >>> product(tf.ones([2, 3]), tf.ones([3, 1])).numpy().tolist()
    [[3.0], [3.0]]
    """
    rounded = tf.cast(kernel, inputs.dtype)
    width, outer = kernel.shape
    rows = tf.reshape(inputs, [-1, width])  # [N,D]
    shape = tf.concat([tf.shape(inputs)[:-1], [outer]], axis=0)

    def gradient(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        d = tf.reshape(d, [-1, outer])  # [N,E]
        d_inputs = tf.matmul(d, rounded, transpose_b=True)
        d_kernel = tf.matmul(rows, d, transpose_a=True)
        d_inputs = tf.reshape(d_inputs, tf.shape(inputs))
        return d_inputs, tf.cast(d_kernel, tf.float32)

    return tf.reshape(tf.matmul(rows, rounded), shape), gradient


@tf.custom_gradient
def add_bias(inputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`inputs + bias`, of float [...,E] and float32 [E], as the inputs.

    >>> add_bias(tf.zeros([1, 2]), tf.constant([1.0, 2.0])).numpy().tolist()
    [[1.0, 2.0]]
    """
    rounded = tf.cast(bias, inputs.dtype)
    return inputs + rounded, lambda d: (d, _sum_of_rows(d))


@tf.custom_gradient
def gelu(inputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Gaussian error linear unit of `inputs + bias` in its form with tanh.

    Args:
        inputs: float [...,E].
        bias: float32 [E].

    Returns:
        As `inputs`.

    Reference: Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415.

    Example:
    >>> gelu(tf.constant([-10.0, 0.0, 9.0]), tf.ones([3])).numpy().round(2)
    array([-0.  ,  0.84, 10.  ], dtype=float32)
    """

    def gradient(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        d_inputs = _gelu_gradient(d, inputs, bias)
        return d_inputs, _sum_of_rows(d_inputs)

    return _gelu(inputs, bias), gradient


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
            return d, _sum_of_rows(d)

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
    never = tf.constant(max(_NEVER, dtype.min), dtype)
    unseen = tf.where(seen, tf.constant(0, dtype), never)[:, tf.newaxis]
    # oneDNN scales and masks in the product itself, if each row has a mask.
    batch, _, time, _ = tf.unstack(tf.shape(queries))
    shape = [batch, 1, time, tf.shape(keys)[2]]
    unseen = tf.broadcast_to(unseen, shape)
    unseen = tf.ensure_shape(unseen, [None, 1, None, None])  # [B,1,T,K]

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
            d_scores = _softmax_gradient(d_weights, shares, d, outputs, scale)
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


def _sum_of_rows(values: tf.Tensor) -> tf.Tensor:
    """Over all axes but the last, float32 [E]."""
    rows = tf.reshape(values, [-1, values.shape[-1]])  # [N,E]
    # A product with ones is the fastest way.
    ones = tf.ones([1, tf.shape(rows)[0]], rows.dtype)
    return tf.cast(tf.matmul(ones, rows)[0], tf.float32)


@fused
def _standardize(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    values = tf.cast(inputs, tf.float32)
    centred = values - tf.reduce_mean(values, -1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, -1, keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-5)
    return tf.cast(centred * scale, inputs.dtype), scale


@fused
def _standardize_gradient(
    beside: tf.Tensor,
    d_outputs: tf.Tensor,
    outputs: tf.Tensor,
    scale: tf.Tensor,
) -> tf.Tensor:
    d, values = (tf.cast(t, tf.float32) for t in (d_outputs, outputs))
    along = tf.reduce_mean(d * values, -1, keepdims=True)
    centred = d - tf.reduce_mean(d, -1, keepdims=True)
    d_inputs = tf.cast(beside, tf.float32) + (centred - values * along) * scale
    return tf.cast(d_inputs, d_outputs.dtype)


@fused
def _affine(inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    outputs = tf.cast(inputs, tf.float32) * scale + shift
    return tf.cast(outputs, inputs.dtype)


@fused
def _affine_gradient(
    d_outputs: tf.Tensor, inputs: tf.Tensor, scale: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    d, values = (tf.cast(t, tf.float32) for t in (d_outputs, inputs))
    return tuple(tf.cast(t, d_outputs.dtype) for t in (d * scale, d * values))


@fused
def _gelu(inputs: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32) + bias
    inner = tf.tanh(_GELU * (x + _CUBIC * x * x * x))
    return tf.cast(0.5 * x * (1 + inner), inputs.dtype)


@fused
def _gelu_gradient(
    d_outputs: tf.Tensor, inputs: tf.Tensor, bias: tf.Tensor
) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32) + bias
    inner = tf.tanh(_GELU * (x + _CUBIC * x * x * x))
    slope = _GELU * (1 + 3 * _CUBIC * x * x)
    d_inputs = 0.5 * (1 + inner) + 0.5 * x * (1 - inner * inner) * slope
    d_inputs *= tf.cast(d_outputs, tf.float32)
    return tf.cast(d_inputs, d_outputs.dtype)


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


@fused
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
