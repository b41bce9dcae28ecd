"""Values and gradients of our kernels beside TensorFlow's own."""

import numpy as np
import tensorflow as tf

from tflm.layers import fused

TOLERANCES = {tf.float32: 1e-5, tf.bfloat16: 2e-2}


def normal(*shape, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return tf.constant(random.normal(0.3, scale, shape), tf.float32)


def value_and_gradients(function, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        numbers = tf.range(tf.size(value))
        weights = tf.cos(tf.reshape(tf.cast(numbers, tf.float32), value.shape))
        loss = tf.reduce_sum(weights * tf.cast(value, tf.float32))
    return [value, *tape.gradient(loss, tensors)]


def assert_alike(own, plain, tensors, dtype, xla, monkeypatch):
    """Of all tensors the first is rounded: weights are not."""
    if not xla:
        monkeypatch.setattr(fused, "xla_works", lambda: False)
    expected = value_and_gradients(plain, tensors)
    given = [tf.cast(tensors[0], dtype), *tensors[1:]]
    found = value_and_gradients(own, given)
    assert found[0].dtype == found[1].dtype == dtype
    for one, other in zip(found, expected, strict=True):
        error = tf.norm(tf.cast(one, tf.float32) - other) / tf.norm(other)
        assert float(error) < TOLERANCES[dtype]
