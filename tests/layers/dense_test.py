import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.layers.dense import dense, normalized, product_in_two


@pytest.mark.parametrize(
    ("dtype", "near"), [("float32", 1e-6), ("bfloat16", 1e-2)]
)
def test_a_product_is_taken_for_that_of_the_layer(dtype, near):
    random = np.random.default_rng(0)
    inputs = tf.cast(random.normal(size=(5, 1, 8)), dtype)  # [B,T,D]
    layer = keras.layers.Dense(3, dtype=dtype)
    layer.build((None, 8))
    layer.bias.assign(random.normal(size=3))
    # Another kernel than the layer's: it shows which one was taken.
    kernel = tf.cast(random.normal(size=(3, 8)), dtype)  # [E,D]

    def product(rows):
        return tf.matmul(rows, kernel, transpose_b=True)

    outputs = dense(layer, inputs, training=False, product=product)
    assert outputs.dtype == dtype
    wide = [np.array(tf.cast(t, tf.float64)) for t in (inputs, kernel)]
    bias = np.array(tf.cast(layer.bias, tf.float64))
    expected = wide[0] @ wide[1].T + bias  # [B,T,E]
    error = np.abs(np.array(tf.cast(outputs, tf.float64)) - expected).max()
    assert error < near * np.abs(expected).max()


@pytest.mark.parametrize(
    ("dtype", "near"), [("float32", 1e-6), ("bfloat16", 1e-2)]
)
@pytest.mark.parametrize(("training", "fused"), [(True, False), (False, True)])
def test_a_norm_by_kernels_is_that_of_keras(training, fused, dtype, near):
    random = np.random.default_rng(0)
    inputs = tf.cast(random.normal(size=(5, 1, 8)), dtype)  # [B,T,D]
    norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype=dtype)
    norm.build((None, 1, 8))
    norm.gamma.assign(random.normal(size=8))
    norm.beta.assign(random.normal(size=8))
    outputs = normalized(norm, inputs, training, fused)
    assert outputs.dtype == dtype
    found, expected = (
        np.array(tf.cast(t, tf.float64)) for t in (outputs, norm(inputs))
    )
    assert np.abs(found - expected).max() < near * np.abs(expected).max()


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize(
    ("dtype", "near"), [("float32", 1e-6), ("bfloat16", 1e-2)]
)
@pytest.mark.parametrize("width", [6, 192])
@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_a_product_in_two_is_the_product(count, width, dtype, near, xla):
    random = np.random.default_rng(0)
    rows = tf.cast(random.normal(size=(count, width)), dtype)
    kernel = tf.constant(random.normal(size=(width, 3)), tf.float32)
    # The number of rows is found out when it runs.
    shapes = tf.TensorSpec([None, width], dtype), tf.TensorSpec([width, 3])
    multiply = tf.function(product_in_two, shapes, jit_compile=xla)
    products = multiply(rows, kernel)
    assert products.dtype == dtype and products.shape == (count, 3)
    wide = [
        np.array(tf.cast(tf.cast(t, dtype), tf.float64)) for t in (rows, kernel)
    ]
    expected = wide[0] @ wide[1]
    found = np.array(tf.cast(products, tf.float64))
    np.testing.assert_allclose(found, expected, atol=near * width**0.5 * 3)
