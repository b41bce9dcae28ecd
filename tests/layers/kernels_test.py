"""Values and gradients beside TensorFlow's own, which take no short cuts."""

import pytest
import tensorflow as tf

from tests.layers.gradients import TOLERANCES, assert_alike, normal
from tflm.layers import kernels


def layer_norm(inputs, scale, shift):
    mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
    normal_ = (inputs - mean) * tf.math.rsqrt(variance + 1e-5)
    return normal_ * scale + shift


def norm_and_product(inputs, scale, shift, kernel, bias):
    _, inputs = kernels.standardize(inputs)
    kernel, bias = kernels.affine_into(scale, shift, kernel, bias)
    return kernels.add_bias(kernels.product(inputs, kernel), bias)


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
    "product of gelu": (
        kernels.product_of_gelu,
        lambda x, bias, kernel: tf.einsum(
            "btd,de->bte", tf.nn.gelu(x + bias, approximate=True), kernel
        ),
        [
            normal(4, 3, 16, scale=3.0),
            normal(16, seed=1),
            normal(16, 6, seed=2),
        ],
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
}


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_tensorflows(name, dtype, xla, monkeypatch):
    assert_alike(*CASES[name], dtype, xla, monkeypatch)
