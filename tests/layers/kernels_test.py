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


def norm_and_product(inputs, scale, shift, kernel, bias):
    _, inputs = kernels.standardize(inputs)
    kernel, bias = kernels.affine_into(scale, shift, kernel, bias)
    return kernels.add_bias(kernels.product(inputs, kernel), bias)


def alike(tensors):
    return [tf.cast(tensor, tensors[0].dtype) for tensor in tensors]


def plain_heads(joined, angles=None):
    """Numbers of a pair as a complex one, turned by a factor."""
    queries, keys, values = tf.split(joined, 3, axis=-1)
    parts = []
    for part in (queries, keys, values):
        heads = tf.stack(tf.split(part, 2, axis=-1), axis=1)  # [B,H,T,W]
        if angles is not None and part is not values:
            turned = tf.complex(*tf.split(heads, 2, axis=-1))
            turned *= tf.complex(*angles)
            parts_of = [tf.math.real(turned), tf.math.imag(turned)]
            heads = tf.concat(parts_of, axis=-1)
        parts.append(heads)
    return tf.stack(parts)


def plain_attention(queries, keys, values, kept=1.0):
    scores = tf.einsum("bhtw,bhkw->bhtk", queries, keys) / np.sqrt(6)
    weights = tf.nn.softmax(tf.where(SEEN[:, None], scores, -np.inf)) * kept
    return tf.einsum("bhtk,bhkw->bhtw", weights, values)


ANGLE = np.arange(10, dtype=np.float32).reshape(1, 1, 5, 2)
ANGLES = tf.cos(ANGLE), tf.sin(ANGLE)
KEPT = tf.constant(
    np.random.default_rng(7).integers(0, 2, [2, 4, 3, 3]) * 2, tf.float32
)
CASES = {
    "standardize": (
        lambda x: kernels.standardize(x)[1],
        lambda x: layer_norm(x, 1.0, 0.0),
        [normal(4, 5, 16)],
    ),
    "standardize beside": (
        lambda x: sum(kernels.standardize(x)),
        lambda x: x + layer_norm(x, 1.0, 0.0),
        [normal(4, 5, 16)],
    ),
    "affine": (
        kernels.affine,
        lambda x, scale, shift: x * scale + shift,
        [normal(4, 5, 8), normal(8, seed=1), normal(8, seed=2)],
    ),
    "gelu": (
        kernels.gelu,
        lambda x, bias: tf.nn.gelu(x + bias, approximate=True),
        [normal(4, 3, 16, scale=3.0), normal(16, seed=1)],
    ),
    "product": (
        lambda x, kernel, bias: kernels.add_bias(
            kernels.product(x, kernel), bias
        ),
        lambda x, kernel, bias: tf.einsum("btd,de->bte", x, kernel) + bias,
        [normal(2, 3, 8), normal(8, 6, seed=1), normal(6, seed=2)],
    ),
    "norm and product": (
        norm_and_product,
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
    "split heads": (
        lambda x, bias: tf.stack(kernels.split_heads(x, bias, 2)),
        lambda x, bias: plain_heads(x + bias),
        [normal(2, 5, 24), normal(24, seed=1)],
    ),
    "split heads and turn": (
        lambda x, bias: tf.stack(kernels.split_heads(x, bias, 2, ANGLES)),
        lambda x, bias: plain_heads(x + bias, ANGLES),
        [normal(2, 5, 24), normal(24, seed=1)],
    ),
    "attend": (
        lambda *x: kernels.attend(*alike(x), SEEN),
        plain_attention,
        [normal(2, 4, 3, 6, seed=n, scale=2.0) for n in range(3)],
    ),
    "attend with dropout": (
        lambda *x: kernels.attend(*alike(x), SEEN, *alike([x[0], KEPT])[1:]),
        lambda *x: plain_attention(*x, KEPT),
        [normal(2, 4, 3, 6, seed=n, scale=2.0) for n in range(3)],
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
    queries, keys, values = (normal(2, 4, 3, 6, seed=n) for n in range(3))
    keys = tf.tensor_scatter_nd_update(keys, [[0, 0, 2]], tf.fill([1, 6], 1e6))
    with tf.GradientTape() as tape:
        tape.watch([keys, values])
        mixed = kernels.attend(queries, keys, values, SEEN)
        loss = tf.reduce_sum(mixed[:, :, :2])
    for gradient in tape.gradient(loss, [keys, values]):
        assert not gradient[:, :, 2].numpy().any()
    np.testing.assert_array_equal(mixed[:, :, 0], values[:, :, 0])
