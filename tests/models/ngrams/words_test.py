import re

import tensorflow as tf

from tflm.models.ngrams.words import escape, words
from tflm.tokenizers import Bytes, Characters, Words


def unescape(name):
    """The text of a name, undone."""
    return re.sub(
        rb"\\x([0-9a-f]{2})",
        lambda match: bytes([int(match[1], 16)]),
        name.encode(),
    )


def test_each_byte_has_a_name_from_which_it_comes_back():
    names = words(Bytes())
    assert names[:4] == ["", "<unk>", "<s>", "</s>"]
    assert [unescape(name) for name in names[4:]] == [
        bytes([value]) for value in range(256)
    ]
    assert all(re.fullmatch(r"\S+", name, re.ASCII) for name in names[1:])


def test_what_is_printable_stays_as_it_is():
    text = "naïve 語 \u3000🙂"
    assert escape(text.encode()) == "naïve\\x20語\\x20\u3000🙂"
    assert escape(b"a\\x20") == "a\\x5cx20"
    assert escape(b"\xffz\x7f") == "\\xffz\\x7f"


def test_names_differ():
    tokenizer = Words.train(["<s> </s> <unk> [PAD] \\x20 \n"], min_count=1)
    names = words(tokenizer)
    assert len(set(names)) == tokenizer.vocabulary_size
    start = tokenizer.tokenize("<s>").numpy()[0]
    assert names[start] == f"<s>\\#{start}"
    assert names[tokenizer.newline_id] == "\\x0a"
    assert names[tokenizer.tokenize("\\x20").numpy()[0]] == "\\x5cx20"


def test_names_are_in_the_order_of_ids():
    tokenizer = Characters("ba c")
    names = words(tokenizer)
    for name in "abc":
        assert names[int(tokenizer.tokenize(tf.constant(name))[0])] == name
