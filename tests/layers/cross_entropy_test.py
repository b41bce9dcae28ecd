"""The fused cross-entropy gives autodiff's value and gradients."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tflm.layers import cross_entropy

N, D, V = 11, 6, 9


@pytest.fixture(name="tensors")
def fixture_tensors():
    random = np.random.default_rng(0)
    hidden = random.normal(size=[N, D]).astype(np.float32)
    table = random.normal(size=[V, D]).astype(np.float32)
    bias = random.normal(size=[V]).astype(np.float32)
    return [tf.constant(array) for array in (hidden, table, bias)]


@pytest.fixture(name="labels")
def fixture_labels():
    random = np.random.default_rng(1)
    targets = random.integers(0, V, N).astype(np.int32)
    weights = random.uniform(0.5, 2, N).astype(np.float32)
    weights[[2, 7]] = 0
    return tf.constant(targets), tf.constant(weights)


@pytest.fixture(params=[1, 4, 16], name="size")
def fixture_size(request, monkeypatch):
    """Slices that divide N, that leave a rest, and one that holds it all."""
    monkeypatch.setattr(cross_entropy, "_SLICE", 0)
    monkeypatch.setattr(cross_entropy, "_FEWEST", request.param)
    return request.param


def test_value_and_gradients_are_autodiffs(tensors, labels, size):
    expected = _with_gradients(_plain, tensors, labels)
    actual = _with_gradients(cross_entropy.summed_nats, tensors, labels)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_zero_weight_gives_no_gradient(tensors, labels, size):
    _, d_hidden, _, _ = _with_gradients(
        cross_entropy.summed_nats, tensors, labels
    )
    np.testing.assert_array_equal(d_hidden[2], np.zeros(D))
    assert np.abs(d_hidden[3]).min() > 0


def test_products_in_bfloat16_stay_close(tensors, labels, size):
    expected = _with_gradients(_plain, tensors, labels)

    def rounded(hidden, *rest):
        return cross_entropy.summed_nats(tf.cast(hidden, tf.bfloat16), *rest)

    actual = _with_gradients(rounded, tensors, labels)
    assert actual[0].dtype == tf.float32
    for one, other in zip(actual, expected, strict=True):
        error = np.linalg.norm(one - other) / np.linalg.norm(other)
        assert error < 2e-2


def test_one_trace_serves_any_number_of_targets(tensors, labels, size):
    hidden, table, bias = tensors
    targets, weights = labels

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, D]),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None]),
        ]
    )
    def nats(hidden, targets, weights):
        return cross_entropy.summed_nats(hidden, table, bias, targets, weights)

    for count in (0, 1, 5, N):
        actual = nats(hidden[:count], targets[:count], weights[:count])
        expected = _plain(
            hidden[:count], table, bias, targets[:count], weights[:count]
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_large_logits_stay_finite(tensors, labels, shift):
    hidden, table, bias = tensors
    expected = _with_gradients(_plain, tensors, labels)
    shifted = [hidden, table, bias + shift]
    actual = _with_gradients(cross_entropy.summed_nats, shifted, labels)
    for one, other in zip(actual, expected, strict=True):
        # At 10,000 float32 has three digits left behind the point.
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-2)


def _with_gradients(function, tensors, labels):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        # A factor, so that the gradient from above counts.
        loss = 3.0 * function(*tensors, *labels)
    return loss, *(d.numpy() for d in tape.gradient(loss, tensors))


def _plain(hidden, table, bias, targets, weights):
    logits = tf.matmul(hidden, table, transpose_b=True) + bias
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(nats * weights)


@pytest.mark.parametrize("target", [-1, 7])
def test_target_that_is_no_id_gives_no_number(target):
    def nats(weight):
        return cross_entropy.summed_nats(
            tf.ones([2, 3]),
            tf.ones([7, 3]),
            tf.zeros([7]),
            tf.constant([6, target]),
            tf.constant([1.0, weight]),
        )

    assert np.isnan(nats(0.5))
    assert nats(0.0).numpy() == pytest.approx(math.log(7), rel=1e-6)
