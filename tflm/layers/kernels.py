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

from tflm.layers import row_part
from tflm.layers.fused import fused, fused_by_part

_GELU = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


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
    part = row_part.index()
    outputs, scale = _standardize(part)(inputs)
    gradient = _standardize_gradient(part)
    return (
        (tf.identity(inputs), outputs),
        lambda beside, d: gradient(beside, d, outputs, scale),
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
        return d_inputs, sum_of_rows(d_scale), sum_of_rows(d)

    return _affine(inputs, scale, shift), gradient


@tf.custom_gradient
def product(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`inputs @ kernel`, of float [...,D] and float [D,E], as the inputs.

    >>> product(tf.ones([2, 3]), tf.ones([3, 1])).numpy().tolist()
    [[3.0], [3.0]]
    """
    rounded = tf.cast(kernel, inputs.dtype)

    def gradient(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        d_inputs = _product(d, rounded, transpose_b=True)
        return d_inputs, _kernel_gradient(kernel, inputs, d)

    return _product(inputs, rounded), gradient


@tf.custom_gradient
def product_of_gelu(
    inputs: tf.Tensor, bias: tf.Tensor, kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable]:
    """`gelu(inputs, bias) @ kernel`, which keeps the inputs alone.

    The gradient computes the activation anew, in the kernel that has all it
    takes: to keep it would be a quarter of a block's memory.

    Args:
        inputs: float [...,D].
        bias: float32 [D].
        kernel: float [D,E].

    Returns:
        float [...,E] in the dtype of the inputs.

    Example:
    >>> product_of_gelu(
    ...     tf.constant([[8.0, -9.0]]), tf.ones([2]), tf.ones([2, 1])
    ... ).numpy().round(2)
    array([[9.]], dtype=float32)
    """
    rounded = tf.cast(kernel, inputs.dtype)

    def gradient(d: tf.Tensor) -> tuple[tf.Tensor, ...]:
        d_active = _product(d, rounded, transpose_b=True)
        d_inputs, active = _gelu_gradient(d_active, inputs, bias)
        d_kernel = _kernel_gradient(kernel, active, d)
        return d_inputs, sum_of_rows(d_inputs), d_kernel

    return _product(gelu(inputs, bias), rounded), gradient


@tf.custom_gradient
def add_bias(inputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`inputs + bias`, of float [...,E] and float32 [E], as the inputs.

    >>> add_bias(tf.zeros([1, 2]), tf.constant([1.0, 2.0])).numpy().tolist()
    [[1.0, 2.0]]
    """
    rounded = tf.cast(bias, inputs.dtype)
    return inputs + rounded, lambda d: (d, sum_of_rows(d))


@fused
def gelu(inputs: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
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
    x = tf.cast(inputs, tf.float32) + bias
    return tf.cast(0.5 * x * (1 + _gelu_tanh(x)), inputs.dtype)


def layer_norm(
    inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor
) -> tf.Tensor:
    """`standardize` and `affine` as one kernel, for use outside of training.

    >>> two = tf.constant([2.0, 2.0])
    >>> layer_norm(tf.constant([[1.0, 3.0]]), two, two).numpy().round(2)
    array([[0., 4.]], dtype=float32)
    """
    return _layer_norm(row_part.index())(inputs, scale, shift)


def sum_of_rows(values: tf.Tensor) -> tf.Tensor:
    """The sum of float [...,E] over all axes but the last, float32 [E].

    >>> sum_of_rows(tf.constant([[1.0, 2.0], [3.0, 4.0]])).numpy().tolist()
    [4.0, 6.0]
    """
    rows = tf.reshape(values, [-1, values.shape[-1]])  # [N,E]
    # A product with ones is the fastest way.
    ones = tf.ones([1, tf.shape(rows)[0]], rows.dtype)
    return tf.cast(tf.matmul(ones, rows)[0], tf.float32)


@fused_by_part
def _layer_norm(
    inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor
) -> tf.Tensor:
    outputs, _ = _standardized(inputs)
    return tf.cast(outputs * scale + shift, inputs.dtype)


@fused_by_part
def _standardize(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    outputs, scale = _standardized(inputs)
    return tf.cast(outputs, inputs.dtype), scale


def _standardized(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """In float32, and by what the inputs less their mean were scaled."""
    values = tf.cast(inputs, tf.float32)
    centred = values - tf.reduce_mean(values, -1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, -1, keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-5)
    return centred * scale, scale


@fused_by_part
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
def _gelu_gradient(
    d_outputs: tf.Tensor, inputs: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient of the inputs, and the outputs."""
    x = tf.cast(inputs, tf.float32) + bias
    inner = _gelu_tanh(x)
    slope = _GELU * (1 + 3 * _CUBIC * x * x)
    d_inputs = 0.5 * (1 + inner) + 0.5 * x * (1 - inner * inner) * slope
    d_inputs *= tf.cast(d_outputs, tf.float32)
    results = d_inputs, 0.5 * x * (1 + inner)
    return tuple(tf.cast(result, inputs.dtype) for result in results)


def _gelu_tanh(x: tf.Tensor) -> tf.Tensor:
    return tf.tanh(_GELU * (x + _CUBIC * x * x * x))


def _product(
    inputs: tf.Tensor, kernel: tf.Tensor, transpose_b: bool = False
) -> tf.Tensor:
    """[...,D] times [D,E], or [E,D] transposed: [...,E], in two dimensions."""
    width, outer = kernel.shape[::-1] if transpose_b else kernel.shape
    rows = tf.reshape(inputs, [-1, width])  # [N,D]
    products = tf.matmul(rows, kernel, transpose_b=transpose_b)
    shape = tf.concat([tf.shape(inputs)[:-1], [outer]], axis=0)
    return tf.reshape(products, shape)


def _kernel_gradient(
    kernel: tf.Tensor, inputs: tf.Tensor, d: tf.Tensor
) -> tf.Tensor:
    """As the kernel [D,E], of inputs [...,D] and the product's, [...,E]."""
    width, outer = kernel.shape
    rows = tf.reshape(inputs, [-1, width])  # [N,D]
    d_kernel = tf.matmul(rows, tf.reshape(d, [-1, outer]), transpose_a=True)
    return tf.cast(d_kernel, kernel.dtype)
