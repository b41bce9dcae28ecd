import pytest
import tensorflow as tf

from tflm.tokenizers import Characters, Words
from tflm.tokenizers import batches as batches_module
from tflm.tokenizers.batches import batches

TEXTS = [b"", b"a" * 400_000, "é" * 400_000, tf.constant("b"), b"c" * 3_000_000]


def as_bytes(text):
    text = text.numpy() if isinstance(text, tf.Tensor) else text
    return text.encode() if isinstance(text, str) else text


def test_batches_hold_all_texts_in_order_and_about_a_megabyte():
    made = [batch.numpy().tolist() for batch in batches(iter(TEXTS * 3))]
    assert sum(made, []) == [as_bytes(text) for text in TEXTS * 3]
    for batch in made[:-1]:
        assert sum(map(len, batch[:-1])) < 2**20 <= sum(map(len, batch))


def test_short_texts_are_no_more_than_a_batch_takes():
    sizes = [len(batch) for batch in batches(["x"] * 40_000)]
    assert sizes == [2**14, 2**14, 40_000 - 2**15]


def test_texts_come_in_batches_one_by_one(monkeypatch):
    monkeypatch.setattr(batches_module, "_BATCH_TEXTS", 3)
    monkeypatch.setattr(batches_module, "_BATCH_BYTES", 5)
    texts = ["a", b"\0", tf.constant("b\0"), "", "abcdef", "é", b"\xc3"]
    made = [b.numpy().tolist() for b in batches(texts)]
    assert made == [
        [b"a", b"\0", b"b\0"],
        [b"", b"abcdef"],
        ["é".encode(), b"\xc3"],
    ]
    assert list(batches([])) == []


@pytest.mark.parametrize("kind", [Characters, Words])
def test_training_is_the_same_in_any_batches(kind, monkeypatch):
    # What two texts have of a character is none.
    texts = ["to be\n or ", b"\xe6", b"\x97\xa5", "not", " to\nbe", " or a"]
    whole = kind.train(texts, min_count=1)
    assert "日" not in whole.vocabulary
    monkeypatch.setattr(batches_module, "_BATCH_TEXTS", 1)
    assert kind.train(texts, min_count=1).vocabulary == whole.vocabulary
