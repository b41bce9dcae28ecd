"""The element-wise parts of a transformer block, for training.

TensorFlow's gradients take these apart into a dozen passes over memory. Here
each part is one kernel forward and one backward, where XLA can make it, and
keeps no more than its backward needs. Products are TensorFlow's own, which on
a CPU are several times faster than XLA's.

Axes: N positions of all rows, D width, E width behind a product, ... any.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tflm.layers.fused import fused

_GELU = math.sqrt(2 / math.pi)
_CUBIC = 0.044715
_NEVER = -1e9


@tf.custom_gradient
def standardize(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Takes mean 0 and variance 1 over the last axis, [...,D].

    LayerNorm without its scale and shift, which go into the weights that come
    next: see `affine_into`. The epsilon is 1e-5. Reference: Ba et al., 2016,
    https://arxiv.org/abs/1607.06450.

    >>> standardize(tf.constant([[1.0, 3.0]])).numpy().round(3)
    array([[-1.,  1.]], dtype=float32)
    """
    outputs, scale = _standardize(inputs)
    return outputs, lambda d: _standardize_gradient(d, outputs, scale)


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


def linear(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`inputs @ kernel + bias` in the dtype of the inputs.

    Args:
        inputs: float [...,D].
        kernel: float32 [D,E].
        bias: float32 [E].

    Returns:
        [...,E]. The gradients of kernel and bias are float32.

    Example:
    >>> linear(tf.ones([2, 3]), tf.ones([3, 1]), tf.ones([1])).numpy().tolist()
    [[4.0], [4.0]]
    """

    @tf.custom_gradient
    def run(
        rows: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, Callable]:
        rounded = tf.cast(kernel, rows.dtype)

        def gradient(d: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # A product with ones is the fastest way to sum over the rows.
            ones = tf.ones([1, tf.shape(d)[0]], d.dtype)
            return (
                tf.matmul(d, rounded, transpose_b=True),
                tf.cast(tf.matmul(rows, d, transpose_a=True), tf.float32),
                tf.cast(tf.matmul(ones, d)[0], tf.float32),
            )

        product = tf.matmul(rows, rounded)
        return tf.nn.bias_add(product, tf.cast(bias, rows.dtype)), gradient

    rows = tf.reshape(inputs, [-1, kernel.shape[0]])  # [N,D]
    outputs = run(rows, kernel, bias)  # [N,E]
    shape = tf.concat([tf.shape(inputs)[:-1], [kernel.shape[1]]], axis=0)
    return tf.reshape(outputs, shape)


@tf.custom_gradient
def gelu(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Gaussian error linear unit in its form with tanh.

    Reference: Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415.

    >>> gelu(tf.constant([-10.0, 0.0, 10.0])).numpy().tolist()
    [-0.0, 0.0, 10.0]
    """
    return _gelu(inputs), lambda d_outputs: _gelu_gradient(d_outputs, inputs)


def attention_weights(
    scores: tf.Tensor, seen: tf.Tensor, scale: float = 1.0
) -> tf.Tensor:
    """Softmax over the last axis, of what is seen.

    Args:
        scores: float [...].
        seen: bool, of a shape that broadcasts to that of `scores`.
        scale: float. What the scores are multiplied by first. Default 1.

    Returns:
        As `scores`; the sums are float32.

    Example:
    >>> seen = tf.constant([[True, True, False]])
    >>> attention_weights(tf.ones([1, 3]), seen).numpy().tolist()
    [[0.5, 0.5, 0.0]]
    """

    @tf.custom_gradient
    def run(scores: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        shares = _softmax(scores, seen, scale)
        return shares, lambda d: _softmax_gradient(d, shares, scale)

    return run(scores)


def turn(vectors: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor) -> tf.Tensor:
    """Turns pairs of numbers by angles.

    Args:
        vectors: float [...,W], W even. Numbers i and i + W/2 are a pair.
        cosine: float32 of a shape that broadcasts to [...,W/2].
        sine: float32, likewise.

    Returns:
        As `vectors`; the turn is float32.

    Example:
    >>> east = tf.constant([[1.0, 0.0]])
    >>> turn(east, tf.constant([0.0]), tf.constant([1.0])).numpy().tolist()
    [[0.0, 1.0]]
    """

    @tf.custom_gradient
    def run(vectors: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        # The gradient is turned back.
        return _turn(vectors, cosine, sine), lambda d: _turn(d, cosine, -sine)

    return run(vectors)


@fused
def _standardize(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    values = tf.cast(inputs, tf.float32)
    centred = values - tf.reduce_mean(values, -1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, -1, keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-5)
    return tf.cast(centred * scale, inputs.dtype), scale


@fused
def _standardize_gradient(
    d_outputs: tf.Tensor, outputs: tf.Tensor, scale: tf.Tensor
) -> tf.Tensor:
    d, values = (tf.cast(t, tf.float32) for t in (d_outputs, outputs))
    along = tf.reduce_mean(d * values, -1, keepdims=True)
    centred = d - tf.reduce_mean(d, -1, keepdims=True)
    return tf.cast((centred - values * along) * scale, d_outputs.dtype)


@fused
def _gelu(inputs: tf.Tensor) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32)
    inner = tf.tanh(_GELU * (x + _CUBIC * x * x * x))
    return tf.cast(0.5 * x * (1 + inner), inputs.dtype)


@fused
def _gelu_gradient(d_outputs: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32)
    inner = tf.tanh(_GELU * (x + _CUBIC * x * x * x))
    slope = _GELU * (1 + 3 * _CUBIC * x * x)
    d_inputs = 0.5 * (1 + inner) + 0.5 * x * (1 - inner * inner) * slope
    d_inputs *= tf.cast(d_outputs, tf.float32)
    return tf.cast(d_inputs, d_outputs.dtype)


@fused
def _softmax(scores: tf.Tensor, seen: tf.Tensor, scale: float) -> tf.Tensor:
    values = tf.where(seen, tf.cast(scores, tf.float32) * scale, _NEVER)
    highest = tf.reduce_max(values, -1, keepdims=True)
    shares = tf.exp(values - highest)
    shares /= tf.reduce_sum(shares, -1, keepdims=True)
    return tf.cast(shares, scores.dtype)


@fused
def _softmax_gradient(
    d_shares: tf.Tensor, shares: tf.Tensor, scale: float
) -> tf.Tensor:
    d, share = (tf.cast(t, tf.float32) for t in (d_shares, shares))
    mean = tf.reduce_sum(d * share, -1, keepdims=True)
    return tf.cast(share * (d - mean) * scale, d_shares.dtype)


@fused
def _turn(vectors: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor) -> tf.Tensor:
    left, right = tf.split(tf.cast(vectors, tf.float32), 2, axis=-1)
    both = [left * cosine - right * sine, right * cosine + left * sine]
    return tf.cast(tf.concat(both, axis=-1), vectors.dtype)
