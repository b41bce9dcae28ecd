"""The loss in training is the cross-entropy of the model's own logits."""

import numpy as np
import pytest
import tensorflow as tf

from tflm import models

SIZES = {"vocabulary_size": 13, "embedding_dim": 8, "num_layers": 1}


@pytest.mark.parametrize("tie_embeddings", [False, True])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (models.GRU, {"units": 6}),
        (models.LSTM, {"units": 8}),
        (models.SimpleRNN, {"units": 8, "num_layers": 2}),
        (models.GPT, {"num_heads": 2, "context": 4}),
    ],
)
def test_training_nats_and_their_gradients(kind, more, tie_embeddings):
    model = kind(**{**SIZES, **more}, tie_embeddings=tie_embeddings)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape) / 3)
    ids, targets = random.integers(0, 13, [2, 3, 7]).astype(np.int32)
    weights = (random.uniform(size=[3, 7]) < 0.7).astype(np.float32)

    with tf.GradientTape() as tape:
        actual = model.training_nats(ids, targets, weights)[0]
    actual_gradients = tape.gradient(actual, model.trainable_variables)
    with tf.GradientTape() as tape:
        logits = model(ids, training=True)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        expected = tf.reduce_sum(nats * weights)
    gradients = tape.gradient(expected, model.trainable_variables)

    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    for one, other in zip(actual_gradients, gradients, strict=True):
        one, other = tf.convert_to_tensor(one), tf.convert_to_tensor(other)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [models.GRU, models.GPT])
def test_nothing_is_read_of_no_positions(kind):
    heads = {"num_heads": 2, "context": 4} if kind is models.GPT else {}
    model = kind(**SIZES, **heads)
    ids = np.arange(6, dtype=np.int32).reshape(2, 3)
    _, state = model(ids, return_state=True)
    nothing = ids[:, :0]
    for call in (model, tf.function(model)):
        logits, after = call(nothing, initial_state=state, return_state=True)
        assert logits.shape == (2, 0, 13) and logits.dtype == tf.float32
        tf.nest.map_structure(np.testing.assert_array_equal, after, state)
        logits, begun = call(nothing, return_state=True)
        expected = model.get_initial_state(2)
        tf.nest.map_structure(np.testing.assert_array_equal, begun, expected)
        assert call(nothing).shape == (2, 0, 13)


@pytest.mark.parametrize("kind", [models.GRU, models.LSTM, models.SimpleRNN])
def test_nothing_can_be_tied_to_a_one_hot_input(kind):
    with pytest.raises(ValueError, match="`tie_embeddings` needs an embedding"):
        kind(vocabulary_size=9, embedding_dim=0, tie_embeddings=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("how", [{}, {"num_sampled": 5}], ids=str)
@pytest.mark.parametrize("tie_embeddings", [False, True])
def test_training_nats_of_models_that_are_of_one_dtype(
    dtype, how, tie_embeddings
):
    sizes = {**SIZES, "units": 8, "tie_embeddings": tie_embeddings}
    model = models.GRU(**sizes, **how, dtype=dtype)
    ids = np.arange(6, dtype=np.int32).reshape(2, 3)
    with tf.GradientTape() as tape:
        nats, _ = model.training_nats(ids, ids + 1, np.ones([2, 3], np.float32))
    for gradient in tape.gradient(nats, model.trainable_variables):
        gradient = tf.convert_to_tensor(gradient)
        assert tf.reduce_all(tf.math.is_finite(gradient))
        assert tf.reduce_any(gradient != 0)
    if not how:
        expected, _ = model.nats(ids, ids + 1)
        np.testing.assert_allclose(nats, tf.reduce_sum(expected), rtol=0.02)


@pytest.mark.parametrize(
    ("kind", "wrong", "rule"),
    [
        (models.GPT, {"context": 0}, "at least 1"),
        (models.GPT, {"num_heads": 0}, "at least 1"),
        (models.GPT, {"num_layers": -1}, "at least 1"),
        (models.GPT, {"dropout": 1.0}, r"in \[0, 1\)"),
        (models.GRU, {"units": 0}, "at least 1"),
        (models.LSTM, {"num_layers": 0}, "at least 1"),
        (models.LSTM, {"dropout": -0.1}, r"in \[0, 1\)"),
        (models.GRU, {"embedding_dim": -2}, "at least 0"),
        (models.SimpleRNN, {"num_sampled": -3}, "at least 0"),
    ],
)
def test_number_out_of_its_range_is_refused(kind, wrong, rule):
    [(name, value)] = wrong.items()
    message = f"`{name}` must be {rule}. Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        kind(**SIZES | wrong)
