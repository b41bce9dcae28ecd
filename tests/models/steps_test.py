import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.documents import random_documents, store_of
from tflm import models
from tflm.models import recurrent_steps

IDS = np.random.default_rng(0).integers(0, 11, (3, 24))
# How many ids each row reads before it ends.
LENGTHS = np.array([20, 7, 13])
MADE = {
    "ngram": lambda **kw: models.NGram.train(
        store_of(random_documents(7, vocabulary_size=11)), order=3, **kw
    ),
    "gpt": lambda **kw: models.GPT(
        embedding_dim=16, num_layers=2, num_heads=2, context=6, **kw
    ),
    "gru": lambda **kw: models.GRU(units=8, num_layers=2, **kw),
    "lstm of one-hot": lambda **kw: models.LSTM(units=8, embedding_dim=0, **kw),
    "bridged simple_rnn": lambda **kw: models.SimpleRNN(
        units=8, embedding_dim=6, tie_embeddings=True, **kw
    ),
}


def begun(model):
    """A state after prompts of several lengths."""
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0] * 4], bool)
    _, state = model(IDS[:, :4], mask=mask, return_state=True)
    return state


def read_at(time):
    """The ids that are read, and whether the rows go on."""
    return tf.constant(IDS[:, 4 + time]), tf.constant(time < LENGTHS)


@functools.cache
def by_calls(model):
    """Logits and positions of the model called step by step."""
    state, found = begun(model), []
    for time in range(LENGTHS.max()):
        ids, there = read_at(time)
        logits, state = model(
            ids[:, None],
            mask=there[:, None],
            initial_state=state,
            return_state=True,
        )
        found.append((logits[:, 0], state["position"]))
    return found


def worst_difference(model, count=4, **how):
    """Of the logits of rows that go on, to calls of the model, step by step."""
    steps = model.steps(count, **how)
    weights, own = steps.weights(), steps.begin(begun(model))
    worst = 0.0
    for time, (expected, position) in enumerate(by_calls(model)):
        logits, own = steps.read(weights, *read_at(time), own)
        np.testing.assert_array_equal(own["position"], position)
        difference = np.abs((logits - expected).numpy())[time < LENGTHS]
        worst = max(worst, difference.max())
        if time % count == count - 1:
            own = steps.turn(own)
    return worst


@functools.cache
def random_model(made):
    keras.utils.set_random_seed(0)
    model = MADE[made](vocabulary_size=11)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:  # none is zero: all shows
        weight.assign(weight + random.normal(0, 0.3, weight.shape))
    return model


@pytest.mark.parametrize(
    "how", [{}, {"fixed": True}, {"kernels": True}], ids=str
)
@pytest.mark.parametrize("made", MADE)
def test_steps_read_as_calls_do(made, how):
    assert worst_difference(random_model(made), **how) < 1e-5


def test_no_table_is_made_for_many_ids(monkeypatch):
    model = MADE["gru"](vocabulary_size=11)
    table = model.steps(4).weights()[0]
    assert table.shape == (11, 24)
    monkeypatch.setattr(recurrent_steps, "_TABLE", 10)
    assert model.steps(4).weights()[0].shape == (24, 256)
    assert worst_difference(model) < 1e-6


def test_logits_of_many_ids_are_those_of_calls(monkeypatch):
    monkeypatch.setattr(recurrent_steps, "_FEW_LOGITS", 10)
    assert worst_difference(random_model("gru")) < 1e-5


@pytest.mark.parametrize("made", ["gpt", "gru", "lstm of one-hot"])
def test_steps_in_bfloat16_are_near(made):
    model = MADE[made](vocabulary_size=11, dtype="bfloat16")
    difference = worst_difference(model)
    assert difference < 2e-2
    # Recurrent states are float32 in both, a GPT's keys are rounded otherwise.
    assert difference > 0 or made != "gpt"
    weights = tf.nest.flatten(model.steps(4).weights())
    assert tf.bfloat16 in {weight.dtype for weight in weights}
