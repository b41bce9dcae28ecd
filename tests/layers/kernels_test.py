"""Values and gradients beside TensorFlow's own, which take no short cuts."""

import numpy as np
import pytest
import tensorflow as tf

from tflm.layers import fused, kernels

TOLERANCES = {tf.float32: 1e-5, tf.bfloat16: 2e-2}
SEEN = tf.constant(
    [[[True, False, False], [True, True, False], [False, True, True]]]
)


def normal(*shape, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return tf.constant(random.normal(0.3, scale, shape), tf.float32)


def layer_norm(inputs, scale, shift):
    mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
    normal_ = (inputs - mean) * tf.math.rsqrt(variance + 1e-5)
    return normal_ * scale + shift


CASES = {
    "standardize": (
        kernels.standardize,
        lambda x: layer_norm(x, 1.0, 0.0),
        [normal(4, 5, 16)],
    ),
    "gelu": (
        kernels.gelu,
        lambda x: tf.nn.gelu(x, approximate=True),
        [normal(4, 16, scale=3.0)],
    ),
    "attention_weights": (
        lambda x: kernels.attention_weights(x, SEEN),
        lambda x: tf.nn.softmax(tf.where(SEEN, x, -np.inf)),
        [normal(2, 4, 3, 3, scale=4.0)],
    ),
    "linear": (
        kernels.linear,
        lambda x, kernel, bias: tf.einsum("btd,de->bte", x, kernel) + bias,
        [normal(2, 3, 8), normal(8, 6, seed=1), normal(6, seed=2)],
    ),
    "norm and linear": (
        lambda x, scale, shift, kernel, bias: kernels.linear(
            kernels.standardize(x),
            *kernels.affine_into(scale, shift, kernel, bias),
        ),
        lambda x, scale, shift, kernel, bias: (
            tf.einsum("btd,de->bte", layer_norm(x, scale, shift), kernel) + bias
        ),
        [
            normal(2, 3, 8),
            normal(8, seed=3),
            normal(8, seed=4),
            normal(8, 6, seed=1),
            normal(6, seed=2),
        ],
    ),
}


def value_and_gradients(function, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        numbers = tf.range(tf.size(value))
        weights = tf.cos(tf.reshape(tf.cast(numbers, tf.float32), value.shape))
        loss = tf.reduce_sum(weights * tf.cast(value, tf.float32))
    return [value, *tape.gradient(loss, tensors)]


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_tensorflows(name, dtype, xla, monkeypatch):
    if not xla:
        monkeypatch.setattr(fused, "_xla_works", lambda: False)
    own, plain, tensors = CASES[name]
    expected = value_and_gradients(plain, tensors)
    # Activations are rounded, weights are not.
    given = [tf.cast(tensors[0], dtype), *tensors[1:]]
    found = value_and_gradients(own, given)
    assert found[0].dtype == found[1].dtype == dtype
    for one, other in zip(found, expected, strict=True):
        error = tf.norm(tf.cast(one, tf.float32) - other) / tf.norm(other)
        assert float(error) < TOLERANCES[dtype]


def test_what_is_not_seen_weighs_nothing_and_gives_no_gradient():
    scores = tf.constant([[[3.0, np.nan, 1e30], [1.0, 2.0, 3.0], [0.0, 1, 2]]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        weights = kernels.attention_weights(scores, SEEN)
        loss = tf.reduce_sum(weights[:, 0] * [5.0, 7.0, 9.0])
    assert weights[0, 0].numpy().tolist() == [1, 0, 0]
    assert not tape.gradient(loss, scores)[0].numpy().any()
