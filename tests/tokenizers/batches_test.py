import tensorflow as tf

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
