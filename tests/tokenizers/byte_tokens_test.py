"""Bytes: every string there is comes back."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm import tokenizers
from tflm.tokenizers import Bytes

tokenizer = Bytes()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=5))
def test_round_trip_is_exact_for_all_bytes(strings):
    batch = tf.constant(strings, tf.string, shape=[len(strings)])
    ids = tokenizer.tokenize(batch)
    assert ids.to_list() == [[4 + byte for byte in s] for s in strings]
    assert tokenizer.detokenize(ids).numpy().tolist() == strings
    for string in strings:
        alone = tokenizer.tokenize(string)
        assert alone.dtype == tf.int32
        assert tokenizer.detokenize(alone).numpy() == string


def test_in_a_pipeline_and_in_a_graph_as_eagerly():
    texts = tf.constant(["é👩‍👩‍👧\x00", "", "a\n"])
    expected = tokenizer.tokenize(texts).to_list()
    data = tf.data.Dataset.from_tensor_slices(texts)
    alone = [ids.numpy().tolist() for ids in data.map(tokenizer.tokenize)]
    batched = next(iter(data.batch(3).map(tokenizer.tokenize))).to_list()
    graph = tf.function(tokenizer.tokenize)(texts).to_list()
    assert alone == batched == graph == expected


def test_special_ids_have_no_text_and_nothing_is_unknown():
    assert tokenizer.vocabulary_size == 260
    assert tokenizer.detokenize([0, 2, 4 + 65, 3]).numpy() == b"A"
    assert tokenizer.unknown_bytes(["é", ""]).numpy().tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["bytes"])
def test_saved_and_loaded_it_is_the_same(kind, tmp_path):
    tokenizer.save(tmp_path)
    assert isinstance(tokenizers.load(tmp_path), tokenizers.KINDS[kind])
