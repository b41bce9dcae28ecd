"""A dense layer, perhaps behind a LayerNorm, the fast way.

Axes: B batch, D width, E width of the outputs.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from tflm.layers import kernels, made_once

# Gives of rows [B,D] their product with a dense layer's kernel, [B,E].
Product = Callable[[tf.Tensor], tf.Tensor]

# Rows at the most, and width at the least, of which the product is faster in
# two, see `product_in_two`.
_FEW = 4
_WIDE = 192


def normalize(
    norm: keras.layers.LayerNormalization,
    inputs: tf.Tensor,
    training: bool | None,
    fused: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The inputs, to go on with, and what `product_and_bias(..., norm)` takes.

    In training that is the norm without its scale and shift, which go
    into the weights then; otherwise it is the norm.

    Args:
        norm: Over the last axis, with epsilon 1e-5.
        inputs: float [...,D].
        training: Whether kernels with gradients of their own are taken.
        fused: bool. Whether outside of training the norm is one kernel made by
            XLA, where that works. Default False.

    Returns:
        Two float [...,D].

    Example:
    >>> norm = keras.layers.LayerNormalization(epsilon=1e-5)
    >>> inputs, normed = normalize(norm, tf.constant([[1.0, 3.0]]), False)
    >>> normed.numpy().round(3)
    array([[-1.,  1.]], dtype=float32)
    """
    if training:
        return kernels.standardize(inputs)
    return inputs, normalized(norm, inputs, training, fused)


def normalized(
    norm: keras.layers.LayerNormalization,
    inputs: tf.Tensor,
    training: bool | None,
    fused: bool = False,
) -> tf.Tensor:
    """`norm(inputs)`, in training by kernels with gradients of their own.

    Outside of training it is one kernel made by XLA, if it is to be `fused`.

    Example:
    >>> norm = keras.layers.LayerNormalization(epsilon=1e-5)
    >>> norm.build((1, 2))
    >>> normalized(norm, tf.constant([[1.0, 3.0]]), True).numpy().round(3)
    array([[-1.,  1.]], dtype=float32)
    """
    if not (training or fused):
        return norm(inputs)
    scale, shift = _float32(norm.gamma), _float32(norm.beta)
    if not training:
        return kernels.layer_norm(inputs, scale, shift)
    _, normed = kernels.standardize(inputs)
    return kernels.affine(normed, scale, shift)


def dense(
    layer: keras.layers.Dense,
    inputs: tf.Tensor,
    training: bool | None,
    product: Product | None = None,
) -> tf.Tensor:
    """`layer(inputs)`.

    Args:
        layer: With a bias and no activation.
        inputs: float [B,T,D].
        training: Whether kernels with gradients of their own are taken.
        product: Optional, gives of rows [B,D] their product with the layer's
            kernel, [B,E], for single positions outside of training. Default
            None: the layer's own.

    Returns:
        float [B,T,E] in the dtype of the inputs.

    Example:
    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 2))
    >>> dense(layer, tf.ones([4, 5, 2]), training=True).shape
    TensorShape([4, 5, 3])
    """
    if not training:
        if product is not None:
            outputs = product(inputs[:, 0])
            return (outputs + tf.cast(layer.bias, outputs.dtype))[:, tf.newaxis]
        if inputs.shape[1] == 1:
            # A plain product: for more axes Keras works out shapes each time.
            return layer(inputs[:, 0])[:, tf.newaxis]
        return layer(inputs)
    return kernels.add_bias(*product_and_bias(layer, inputs))


def product_in_two(rows: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`rows @ kernel` for XLA on a CPU; of few rows as a sum of two products.

    A product of so few rows waits for memory, and two halves of a wide kernel
    that are read side by side come faster than a whole one.

    Args:
        rows: float [B,D], D even.
        kernel: float [D,E], of any dtype.

    Returns:
        float [B,E] in the dtype of the rows.

    Example:
    >>> product_in_two(tf.ones([1, 256]), tf.ones([256, 2])).numpy().tolist()
    [[256.0, 256.0]]
    """
    width, outer = kernel.shape
    kernel = tf.cast(kernel, rows.dtype)
    if width < _WIDE:
        return tf.matmul(rows, kernel)
    count = tf.shape(rows)[0]
    # XLA knows all shapes when it compiles.
    parts = tf.where(count <= _FEW, 2, 1)
    rows = tf.reshape(rows, [count, parts, width // parts])
    kernel = tf.reshape(kernel, [parts, width // parts, outer])
    products = tf.matmul(tf.transpose(rows, [1, 0, 2]), kernel)  # [2,B,E]
    return tf.ensure_shape(tf.reduce_sum(products, axis=0), [None, outer])


def product_and_bias(
    layer: keras.layers.Dense,
    inputs: tf.Tensor,
    norm: keras.layers.LayerNormalization | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`dense` in training, the bias left to the kernel that comes next.

    Args:
        layer: With a bias and no activation.
        inputs: float [...,D].
        norm: Optional, the LayerNorm whose `normalize` gave the inputs.

    Returns:
        The product [...,E] in the dtype of the inputs, and the bias, float32
        [E], to be added to it.

    Example:
    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 2))
    >>> product, bias = product_and_bias(layer, tf.ones([4, 2]))
    >>> product.shape, bias.shape
    (TensorShape([4, 3]), TensorShape([3]))
    """
    kernel, bias = _kernel_and_bias(layer, inputs.dtype, norm)
    return kernels.product(inputs, kernel), bias


def dense_of_gelu(
    layer: keras.layers.Dense, inputs: tf.Tensor, bias: tf.Tensor
) -> tf.Tensor:
    """`layer(gelu(inputs + bias))` in training, see `product_of_gelu`.

    Args:
        layer: With a bias and no activation.
        inputs: float [...,D].
        bias: float32 [D].

    Returns:
        float [...,E] in the dtype of the inputs.

    Example:
    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 2))
    >>> dense_of_gelu(layer, tf.ones([4, 2]), tf.zeros([2])).shape
    TensorShape([4, 3])
    """
    kernel, bias_behind = _kernel_and_bias(layer, inputs.dtype)
    product = kernels.product_of_gelu(inputs, bias, kernel)
    return kernels.add_bias(product, bias_behind)


def _kernel_and_bias(
    layer: keras.layers.Dense,
    dtype: tf.DType,
    norm: keras.layers.LayerNormalization | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """[D,E] in a dtype and float32 [E], with the norm's scale and shift."""

    def make() -> tuple[tf.Tensor, tf.Tensor]:
        kernel, bias = _float32(layer.kernel), _float32(layer.bias)
        if norm is not None:
            scale, shift = _float32(norm.gamma), _float32(norm.beta)
            kernel, bias = kernels.affine_into(scale, shift, kernel, bias)
        return tf.cast(kernel, dtype), bias

    return made_once.made((layer, dtype, norm), make)


def _float32(weight: keras.Variable) -> tf.Tensor:
    # Keras hands variables over rounded where a layer is called by itself.
    return tf.cast(tf.convert_to_tensor(weight), tf.float32)
