"""Words: counts and ids by Python, round trips, spaces where they belong."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm import tokenizers
from tflm.tokenizers import Words

TEXT = "the cat sat\non the mat\n\nthe 猫 sat e\u0301t é 👩‍👩‍👧\n"
# What str.split takes for white space and bytes.split does not is a letter.
letters = st.characters(exclude_categories=["Cs"]).filter(
    lambda c: c not in " \t\n\v\f\r"
)
words = st.text(letters, min_size=1, max_size=6)


def plain(text):
    """The tokens of a text by Python alone."""
    lines = text.encode().split(b"\n")
    cut = [[*line.split(), b"\n"] for line in lines]
    return [word for line in cut for word in line][:-1]


@pytest.fixture(scope="module")
def tokenizer():
    return Words.train([TEXT], min_count=1)


def test_ids_follow_the_counts_then_the_alphabet(tokenizer):
    assert tokenizer.vocabulary[:3] == ("\n", "the", "sat")
    rest = tokenizer.vocabulary[3:]
    assert list(rest) == sorted(rest, key=str.encode)
    assert tokenizer.vocabulary_size == 4 + len(set(plain(TEXT)))


def test_tokens_are_pythons_words_and_newlines(tokenizer):
    texts = [TEXT, "", "\n", " the  cat\t\n\r sat ", "dog the", "the\u00a0cat"]
    ids = tokenizer.tokenize(tf.constant(texts))
    known = {w.encode(): 4 + i for i, w in enumerate(tokenizer.vocabulary)}
    assert ids.to_list() == [
        [known.get(word, 1) for word in plain(text)] for text in texts
    ]
    for text, row in zip(texts, ids.to_list(), strict=True):
        assert tokenizer.tokenize(text).numpy().tolist() == row


@pytest.mark.parametrize("spaced", [False, True])
@settings(max_examples=50, deadline=None)
@given(lines=st.lists(st.lists(words, max_size=4), min_size=1, max_size=4))
def test_round_trip_is_exact_for_regular_white_space(spaced, lines):
    if spaced:
        text = " \n".join("".join(f" {w}" for w in line) for line in lines)
    else:
        text = "\n".join(" ".join(line) for line in lines)
    vocabulary = {word for line in lines for word in line} - {"<unk>"}
    tokenizer = Words(["\n", *sorted(vocabulary)], spaced=spaced)
    ids = tokenizer.tokenize(tf.constant([text, ""]))
    back = tokenizer.detokenize(ids).numpy()
    assert back.tolist() == [text.encode(), b""]
    assert tokenizer.detokenize(tokenizer.tokenize(text)).numpy() == back[0]


def test_wikitexts_spaces_before_newlines_are_learnt():
    text = " \n = Title = \n \n A <unk> of two @-@ words . \n"
    tokenizer = Words.train([text], min_count=1)
    assert tokenizer.spaced
    ids = tokenizer.tokenize(text)
    assert len(ids) == len(text.split()) + text.count("\n")
    assert tokenizer.detokenize(ids).numpy().decode() == text


def test_rare_words_are_left_to_the_unknown_in_both_directions():
    tokenizer = Words.train(["a a b b c d"], unknown_word="<?>")
    assert tokenizer.vocabulary == ("a", "b", "\n")
    ids = tokenizer.tokenize("a c <?> b")
    assert ids.numpy().tolist() == [4, 1, 1, 5]
    assert tokenizer.detokenize(ids).numpy() == b"a <?> <?> b"
    # The word that stands for the unknown is spelled by its id alone.
    assert tokenizer.unknown_bytes(
        ["c <?>", "", "ddé\nb"]
    ).numpy().tolist() == [
        1,
        0,
        4,
    ]


def test_vocabulary_size_keeps_the_most_frequent_and_the_newline():
    texts = ["x x x y y z z z z w"]
    tokenizer = Words.train(texts, vocabulary_size=7, min_count=1)
    assert tokenizer.vocabulary == ("z", "x", "\n")
    assert tokenizer.vocabulary_size == 7


def test_the_names_of_special_ids_are_ordinary_text(tokenizer):
    names = "[PAD] [UNK] [START] [END]"
    own = Words(["\n", *names.split()])
    assert own.tokenize(names).numpy().tolist() == [5, 6, 7, 8]
    assert tokenizer.tokenize(names).numpy().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("follows", "ids", "text"),
    [
        ("", [5], "the"),
        ("cat", [5], " the"),
        ("cat ", [5], "the"),
        ("cat\n", [5, 5], "the the"),
        ("cat", [4, 5], "\nthe"),
        ("cat", [], ""),
        ("cat", [3], ""),
    ],
)
def test_a_continued_word_begins_with_its_space(follows, ids, text, tokenizer):
    ragged = tf.RaggedTensor.from_row_lengths(
        tf.constant(ids, tf.int32), [len(ids)]
    )
    continued = tokenizer.continuation(ragged, tf.constant([follows]))
    assert continued.numpy()[0].decode() == text


def test_in_a_pipeline_and_in_a_graph_as_eagerly(tokenizer):
    texts = tf.constant([TEXT, "", "a dog\n"])
    expected = tokenizer.tokenize(texts).to_list()
    data = tf.data.Dataset.from_tensor_slices(texts)
    alone = [ids.numpy().tolist() for ids in data.map(tokenizer.tokenize)]
    batched = next(iter(data.batch(3).map(tokenizer.tokenize))).to_list()
    graph = tf.function(tokenizer.tokenize)(texts).to_list()
    assert alone == batched == graph == expected


def test_lowercase_is_the_ops(tokenizer):
    lower = Words.train(["Ärger ärger AND and"], lowercase=True)
    ids = lower.tokenize("ÄRGER And")
    assert lower.detokenize(ids).numpy().decode() == "ärger and"


def test_saved_and_loaded_it_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = tokenizers.load(tmp_path)
    np.testing.assert_array_equal(
        loaded.tokenize(TEXT), tokenizer.tokenize(TEXT)
    )
    assert loaded.fingerprint() == tokenizer.fingerprint()


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (["\n", "a b"], "without white space.*Received: 'a b'"),
        (["\n", "a", "a"], "each word once. Received twice: 'a'"),
        (["a"], "must hold the newline. Received: 1 words"),
    ],
)
def test_a_wrong_vocabulary_is_refused(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        Words(vocabulary)


def test_a_text_without_a_frequent_word_is_refused():
    with pytest.raises(ValueError, match="Received: 2 different words"):
        Words.train(["a b"])
