"""The scans give Keras's values and gradients, in both precisions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.kernel_calls import kernel_calls
from tflm import processor
from tflm.layers import cells, fused, products, row_part, scans

B, T, D, U = 3, 7, 5, 6
CELLS = {
    "simple_rnn": (keras.layers.SimpleRNN, cells.SIMPLE_RNN),
    "gru": (keras.layers.GRU, cells.GRU),
    "lstm": (keras.layers.LSTM, cells.LSTM),
}


@pytest.fixture(params=CELLS, name="case")
def fixture_case(request):
    """A cell with inputs, states, weights and what Keras makes of them."""
    stock, cell = CELLS[request.param]
    random = np.random.default_rng(0)
    layer = stock(U, return_sequences=True, return_state=True)
    layer.build([B, T, D])
    weights = [tf.constant(_normal(random, *w.shape)) for w in layer.weights]
    layer.set_weights(weights)
    inputs = tf.constant(_normal(random, B, T, D))
    states = [tf.constant(_normal(random, B, U))]
    if request.param == "lstm":
        states.append(tf.constant(_normal(random, B, U)))
    variables = [w.value for w in layer.weights]
    with tf.GradientTape() as tape:
        tape.watch([inputs, *states])
        outputs = layer(inputs, initial_state=states)
        loss = _loss(outputs)
    gradients = tape.gradient(loss, [inputs, *states, *variables])
    return cell, inputs, states, weights, [*outputs, *gradients]


def _normal(random, *shape):
    return random.normal(size=shape).astype(np.float32) * 0.5


def _loss(outputs):
    """Weighs every number differently, so that none can hide another."""
    total = 0.0
    for index, values in enumerate(outputs):
        values = tf.cast(values, tf.float32)
        count = tf.cast(tf.size(values), tf.float32)
        weights = tf.cos(tf.range(count) + tf.cast(index, tf.float32))
        total += tf.reduce_sum(weights * tf.reshape(values, [-1]))
    return total


def _scan(cell, inputs, states, weights, dtype):
    with tf.GradientTape() as tape:
        tape.watch([inputs, *states, *weights])
        outputs, last = scans.scan(
            cell, inputs, tuple(states), tuple(weights), dtype
        )
        loss = _loss([outputs, *last])
    gradients = tape.gradient(loss, [inputs, *states, *weights])
    return [outputs, *last, *gradients]


def _assert_close(actual, expected, tolerance):
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        error = tf.norm(tf.cast(ours, tf.float32) - theirs)
        assert float(error / tf.norm(theirs)) < tolerance


BOTH = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 2e-2)]
)


@BOTH
@pytest.mark.parametrize("amx", [True, False])
def test_values_and_gradients_are_kerass(
    case, monkeypatch, dtype, tolerance, amx
):
    monkeypatch.setattr(processor, "has", lambda feature: amx)
    cell, inputs, states, weights, expected = case
    actual = _scan(cell, inputs, states, weights, dtype)
    assert actual[0].dtype == dtype
    assert all(state.dtype == tf.float32 for state in actual[1:])
    _assert_close(actual, expected, tolerance)


def test_batch_and_length_may_be_unknown_until_run_time(case):
    cell, inputs, states, weights, expected = case

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, D]),
            [tf.TensorSpec([None, U])] * len(states),
        ]
    )
    def run(inputs, states):
        return _scan(cell, inputs, states, weights, tf.float32)

    _assert_close(run(inputs, states), expected, 1e-5)
    alone = run(inputs[:1, :1], [state[:1] for state in states])
    np.testing.assert_allclose(alone[0], expected[0][:1, :1], atol=1e-6)
    assert run.experimental_get_tracing_count() == 1


@BOTH
def test_without_xla_the_result_is_the_same(
    case, monkeypatch, dtype, tolerance
):
    cell, inputs, states, weights, expected = case
    for module in fused, products:
        monkeypatch.setattr(module, "xla_works", lambda: False)
    actual = _scan(cell, inputs, states, weights, dtype)
    _assert_close(actual, expected, tolerance)


def test_a_part_of_the_rows_is_as_exact(case):
    """Its products are TensorFlow's."""
    cell, inputs, states, weights, expected = case
    with row_part.working_on(1):
        actual = _scan(cell, inputs, states, weights, tf.bfloat16)
    _assert_close(actual, expected, 2e-2)


def test_no_kernel_that_sums_is_of_two_scans(case):
    cell, inputs, states, weights, _ = case

    def kernels_of(count):
        @tf.function
        def run(inputs):
            return [
                _scan(cell, inputs, states, weights, tf.bfloat16)
                for _ in range(count)
            ]

        summing, _ = kernel_calls(run, inputs)
        return sorted(summing.values())

    summing = kernels_of(1)
    # A step forward, one back, and behind them, in turn, three products a gate.
    gates = weights[1].shape[1] // U
    assert summing == [1, 1, gates, gates, gates]
    assert kernels_of(2) == sorted(2 * summing)
