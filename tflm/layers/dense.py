"""A dense layer, perhaps behind a LayerNorm, the fast way in training.

Axes: D width, E width of the outputs.
"""

import keras
import tensorflow as tf

from tflm.layers import kernels


def dense(
    layer: keras.layers.Dense,
    inputs: tf.Tensor,
    training: bool | None,
    norm: keras.layers.LayerNormalization | None = None,
) -> tf.Tensor:
    """`layer(norm(inputs))`.

    Args:
        layer: With a bias and no activation.
        inputs: float [...,D].
        training: Whether kernels with gradients of their own are taken; the
            norm's scale and shift go into the layer's weights then.
        norm: Optional LayerNorm over the last axis, with epsilon 1e-5.

    Returns:
        float [...,E] in the dtype of the inputs.

    Example:
    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 2))
    >>> dense(layer, tf.ones([4, 2]), training=True).shape
    TensorShape([4, 3])
    """
    if not training:
        return layer(inputs if norm is None else norm(inputs))
    kernel, bias = _float32(layer.kernel), _float32(layer.bias)
    if norm is not None:
        inputs = kernels.standardize(inputs)
        scale, shift = _float32(norm.gamma), _float32(norm.beta)
        kernel, bias = kernels.affine_into(scale, shift, kernel, bias)
    return kernels.linear(inputs, kernel, bias)


def _float32(weight: keras.Variable) -> tf.Tensor:
    # Keras hands variables over rounded where a layer is called by itself.
    return tf.cast(tf.convert_to_tensor(weight), tf.float32)
