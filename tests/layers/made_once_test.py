import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.layers import made_once
from tflm.layers.dense import product_and_bias


def made(name):
    return made_once.made(name, object)


def test_each_name_has_its_own_and_keeps_it():
    with made_once.sharing():
        one = made("one")
        assert made("one") is one and made("two") is not one
    assert made("one") is not one


def test_nothing_is_kept_from_one_time_to_the_next():
    with made_once.sharing():
        before = made("one")
        with made_once.sharing():
            assert made("one") is not before
        assert made("one") is before
    with made_once.sharing():
        assert made("one") is not before


def test_nothing_is_kept_behind_an_error():
    with pytest.raises(KeyError), made_once.sharing():
        raise KeyError
    assert made("one") is not made("one")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("normed", [True, False])
def test_layers_and_dtypes_are_told_apart(dtype, normed):
    random = np.random.default_rng(0)
    norm = keras.layers.LayerNormalization(epsilon=1e-5) if normed else None
    stack = [keras.layers.Dense(4) for _ in range(2)]
    for layer in [*stack, *([norm] if normed else [])]:
        layer.build((None, 4))
        for weight in layer.weights:
            weight.assign(random.normal(size=weight.shape))
    inputs = tf.constant(random.normal(size=(3, 4)), tf.float32)
    calls = [
        (layer, tf.cast(inputs, at), norm)
        for layer in stack
        for at in (dtype, "float32")
    ]
    alone = [product_and_bias(*call) for call in calls]
    with made_once.sharing():
        shared = [product_and_bias(*call) for call in [*calls, *calls]]
    for found, expected in zip(shared, alone * 2, strict=True):
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
