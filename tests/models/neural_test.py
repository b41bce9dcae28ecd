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


@pytest.mark.parametrize("kind", [models.GRU, models.LSTM, models.SimpleRNN])
def test_nothing_can_be_tied_to_a_one_hot_input(kind):
    with pytest.raises(ValueError, match="`tie_embeddings` needs an embedding"):
        kind(vocabulary_size=9, embedding_dim=0, tie_embeddings=True)
