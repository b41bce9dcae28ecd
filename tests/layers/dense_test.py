import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.layers.dense import dense, normalized


@pytest.mark.parametrize(
    ("dtype", "near"), [("float32", 1e-6), ("bfloat16", 1e-2)]
)
def test_a_transposed_kernel_is_taken_for_that_of_the_layer(dtype, near):
    random = np.random.default_rng(0)
    inputs = tf.cast(random.normal(size=(5, 1, 8)), dtype)  # [B,T,D]
    layer = keras.layers.Dense(3, dtype=dtype)
    layer.build((None, 8))
    layer.bias.assign(random.normal(size=3))
    # Another kernel than the layer's: it shows which one was taken.
    kernel = tf.cast(random.normal(size=(3, 8)), dtype)  # [E,D]
    outputs = dense(layer, inputs, training=False, transposed=kernel)
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
