"""A trained GPT loses nothing far past the context that it was trained on."""

import itertools
from pydoc_data import topics

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.models import GPT

CONTEXT, ROWS = 16, 48
FIRST, LAST = 5 * CONTEXT, 10 * CONTEXT


@pytest.fixture(scope="module", name="trained")
def fixture_trained():
    """A GPT that has seen no more than a context at a time, and new text."""
    text = "".join(topics.topics.values())[:80_000]
    characters, ids = np.unique(list(text), return_inverse=True)
    held_out = ids[-ROWS * (LAST + 1) :].reshape([ROWS, LAST + 1])
    known = ids[: -held_out.size]
    keras.utils.set_random_seed(0)
    model = GPT(
        vocabulary_size=len(characters),
        embedding_dim=32,
        num_layers=2,
        num_heads=2,
        context=CONTEXT,
    )
    count = len(known) // CONTEXT - 1
    inputs = known[: count * CONTEXT].reshape([count, CONTEXT])
    targets = known[1 : count * CONTEXT + 1].reshape([count, CONTEXT])
    _train(model, inputs, targets)
    return model, held_out


def _train(model, inputs, targets, batch_size=64, epochs=3):
    """As `fit` does, whose graph takes twice as long to make."""
    optimizer = keras.optimizers.AdamW(5e-3)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(rows):
        with tf.GradientTape() as tape:
            logits = model(tf.gather(inputs, rows), training=True)
            nats = loss(tf.gather(targets, rows), logits)
        gradients = tape.gradient(nats, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    random = np.random.default_rng(0)
    for _ in range(epochs):
        order = random.permutation(len(inputs))
        for first in range(0, len(order) - batch_size + 1, batch_size):
            step(order[first : first + batch_size])


def test_loss_far_past_the_context_is_that_of_reading_anew(trained):
    model, text = trained
    inputs, targets = text[:, :-1], text[:, 1:]
    read_on = _nats(model(inputs), targets)  # [B,T]

    windows = np.lib.stride_tricks.sliding_window_view(inputs, CONTEXT, axis=1)
    windows = windows[:, FIRST + 1 - CONTEXT :]  # each ends at its target
    logits = model(windows.reshape([-1, CONTEXT]))[:, -1:]
    far = read_on[:, FIRST:]
    read_anew = _nats(logits, targets[:, FIRST:].reshape([-1, 1]))
    read_anew = read_anew.reshape([ROWS, -1])
    assert far.shape == read_anew.shape
    # It has learnt something: more than how frequent characters are.
    assert far.mean() < 2.8
    assert abs(far.mean() - read_anew.mean()) < 0.03


def test_loss_far_past_the_context_is_the_same_in_pieces(trained):
    model, text = trained
    inputs, targets = text[:, :-1], text[:, 1:]
    state, nats = model.get_initial_state(ROWS), []
    bounds = [0, 7, 40, 41, 101, LAST]
    for begin, end in itertools.pairwise(bounds):
        logits, state = model(
            inputs[:, begin:end], initial_state=state, return_state=True
        )
        nats.append(_nats(logits, targets[:, begin:end]))
    expected = _nats(model(inputs), targets)
    np.testing.assert_allclose(np.concatenate(nats, 1), expected, atol=1e-4)


def _nats(logits, targets):
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return nats.numpy()
