import numpy as np
import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tflm import generation, models
from tflm.generation import reader as reader_module
from tflm.tokenizers import Characters


def test_tokenizer_of_another_model_is_refused(model):
    with pytest.raises(ValueError, match="`tokenizer` must be the one.*=5,"):
        generation.Reader(model, Characters("a"))


@pytest.mark.parametrize(
    "kind", [models.GRU, models.LSTM, models.SimpleRNN, models.GPT]
)
def test_chunks_of_prompts_are_read_like_one_piece(
    monkeypatch, tokenizer, kind
):
    monkeypatch.setattr(reader_module, "CHUNK", 4)
    model = random_model(kind, tokenizer, num_layers=2)
    reader = generation.Reader(model, tokenizer)
    random = np.random.default_rng(0)
    # Rows end at, before and after the ends of chunks; one has nothing.
    rows = [
        random.integers(2, tokenizer.vocabulary_size, size=length).tolist()
        for length in (1, 13, 4, 0, 5, 9, 8)
    ]
    state = model.get_initial_state(len(rows))
    ids = tf.ragged.constant(rows, tf.int32)
    last, state = tf.function(reader._read)(ids, state)
    assert state["position"].numpy().tolist() == [0, 12, 3, 0, 4, 8, 7]
    for index, row in enumerate(rows):
        if len(row) < 2:
            assert all(
                not tensor[index].numpy().any() for tensor in state.values()
            )
            continue
        _, alone = model(tf.constant([row[:-1]]), return_state=True)
        assert last[index] == row[-1]
        for name, tensor in alone.items():
            np.testing.assert_allclose(state[name][index], tensor[0], atol=1e-5)


def test_float32_copy_has_the_weights(tokenizer):
    model = random_model(models.LSTM, tokenizer, dtype="mixed_bfloat16")
    copy = generation.in_precision(model, "float32")
    plain = random_model(models.LSTM, tokenizer)
    ids = tf.constant([[2, 5, 6, 9]])
    np.testing.assert_array_equal(copy(ids), plain(ids))
    assert np.abs(model(ids) - plain(ids)).max() > 1e-4
    assert generation.in_precision(plain, "float32") is plain
