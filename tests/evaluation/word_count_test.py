import pytest
import tensorflow as tf

from tflm.evaluation import count_words
from tflm.tokenizers import Words

TEXTS = [
    "",
    "word",
    "  two\twords \r\n",
    "\n\n = A heading = \n\n <unk> , so , \n",
    "日本 語\u00a0not ASCII\u2003white space",
    "a\x0bb\x0cc\x1cd",
]


def pieces(texts):
    return tf.data.Dataset.from_tensor_slices({"text": tf.constant(texts)})


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_those_of_the_tokenizer(text):
    tokenizer = Words(["\n"])
    expected = len(tokenizer.tokenize(tf.constant(text)))
    assert count_words(pieces([text])) == expected
    # Runs between white space, counted by Python's bytes.
    raw = text.encode()
    assert expected == len(raw.split()) + raw.count(b"\n")


def test_words_of_pieces_add_up():
    each = [count_words(pieces([text])) for text in TEXTS]
    assert count_words(pieces(TEXTS * 9)) == 9 * sum(each)
