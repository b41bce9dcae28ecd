import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.models.language_model import advance


class Counter(models.LanguageModel):
    """Predicts the number of tokens read, whatever they were."""

    def call(
        self,
        ids,
        mask=None,
        initial_state=None,
        return_state=False,
        training=None,
    ):
        ids = tf.convert_to_tensor(ids)
        if initial_state is None:
            initial_state = self.get_initial_state(tf.shape(ids)[0])
        there = tf.ones_like(ids) if mask is None else tf.cast(mask, ids.dtype)
        before = tf.cast(initial_state["position"][:, tf.newaxis], ids.dtype)
        read = before + tf.cumsum(there, axis=1)
        logits = tf.one_hot(read % self.vocabulary_size, self.vocabulary_size)
        state = {"position": advance(initial_state["position"], ids, mask)}
        return (logits, state) if return_state else logits

    def get_initial_state(self, batch_size):
        return {"position": tf.zeros([batch_size], tf.int32)}


@pytest.mark.parametrize("length", [1, 5])
def test_position_advances_by_what_is_not_masked(length):
    random = np.random.default_rng(0)
    position = np.array([0, 3, 1_000_000], np.int32)
    ids = random.integers(9, size=[3, length])
    mask = random.random([3, length]) < 0.5
    found = advance(tf.constant(position), tf.constant(ids), None)
    assert found.dtype == tf.int32
    assert found.numpy().tolist() == (position + length).tolist()
    found = advance(tf.constant(position), tf.constant(ids), tf.constant(mask))
    assert found.dtype == tf.int32
    expected = [p + sum(row) for p, row in zip(position, mask, strict=True)]
    assert found.numpy().tolist() == expected


def test_a_model_is_a_call_and_an_initial_state():
    model = Counter(vocabulary_size=7)
    first, state = model(np.zeros([2, 3], int), return_state=True)
    second = model(np.zeros([2, 6], int), initial_state=state)
    assert tf.argmax(first, axis=-1).numpy().tolist() == [[1, 2, 3]] * 2
    assert tf.argmax(second, axis=-1).numpy()[0].tolist() == [4, 5, 6, 0, 1, 2]
    assert isinstance(model, keras.Model)


def test_state_is_not_rounded_by_the_policy():
    model = Counter(vocabulary_size=7, dtype="bfloat16")
    seen = {}
    model.call = lambda ids, initial_state=None: seen.update(initial_state)
    exact = tf.constant([1.0009765625])  # bfloat16 would make it 1.0
    model(np.zeros([1, 1], int), initial_state={"cell": exact})
    assert seen["cell"].dtype == tf.float32
    assert seen["cell"].numpy().tolist() == exact.numpy().tolist()


def test_language_model_alone_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        models.LanguageModel(vocabulary_size=7)


def test_nats_are_minus_the_log_probability_of_the_targets():
    model = Counter(vocabulary_size=7)
    ids, targets = np.zeros([2, 3], int), np.array([[1, 2, 3], [1, 0, 0]])
    mask = np.array([[True] * 3, [True, False, True]])
    state = {"position": tf.constant([5, 0])}
    found, state = model.nats(ids, targets, mask, state)
    # One logit of 1 among seven; the count that it stands for, by position.
    right, wrong = np.log(np.e + 6) - 1, np.log(np.e + 6)
    expected = [[wrong, wrong, wrong], [right, wrong, wrong]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == tf.float32
    assert state["position"].numpy().tolist() == [8, 2]
    last, _ = model.nats(ids[:, :1], np.array([[1], [3]]), None, state)
    np.testing.assert_allclose(last, [[wrong], [right]], rtol=1e-6)
