"""Words: counts and ids by Python, round trips, spaces where they belong."""

import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm import config, tokenizers
from tflm.tokenizers import Words

TEXT = "the cat sat\non the mat\n\nthe 猫 sat e\u0301t é 👩‍👩‍👧\n"
# What str.split takes for white space and bytes.split does not is a letter.
letters = st.characters(exclude_categories=["Cs"]).filter(
    lambda c: c not in " \t\n\v\f\r"
)
words = st.text(letters, min_size=1, max_size=6)
lines = st.lists(st.lists(words, max_size=4), min_size=1, max_size=4)


def four(texts):
    """Texts that share a tokenizer: to make one takes longer than to use it."""
    return st.lists(texts, min_size=4, max_size=4)


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
@settings(max_examples=13, deadline=None)
@given(drawn=four(lines))
def test_round_trip_is_exact_for_regular_white_space(spaced, drawn):
    if spaced:
        texts = [
            " \n".join("".join(f" {w}" for w in line) for line in lines)
            for lines in drawn
        ]
    else:
        texts = ["\n".join(map(" ".join, lines)) for lines in drawn]
    vocabulary = {word for lines in drawn for line in lines for word in line}
    vocabulary = sorted(vocabulary - {"<unk>"})
    tokenizer = Words(["\n", *vocabulary], spaced=spaced)
    ids = tokenizer.tokenize(tf.constant([*texts, ""]))
    back = tokenizer.detokenize(ids).numpy()
    assert back.tolist() == [*(text.encode() for text in texts), b""]
    alone = tokenizer.detokenize(tokenizer.tokenize(texts[0]))
    assert alone.numpy() == back[0]


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


@pytest.mark.parametrize("kind", ["tokenizer", "cut"])
def test_in_a_pipeline_and_in_a_graph_as_eagerly(kind, request):
    tokenizer = request.getfixturevalue(kind)
    texts = tf.constant([TEXT, "", "a dog\n", " ", "\0", PUNCTUATED])
    expected = tokenizer.tokenize(texts).to_list()
    data = tf.data.Dataset.from_tensor_slices(texts)
    alone = [ids.numpy().tolist() for ids in data.map(tokenizer.tokenize)]
    batched = next(iter(data.batch(6).map(tokenizer.tokenize))).to_list()
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


# The unicode splitter.

PUNCTUATED = 'He said: "I don\'t pay $3,000.50 (or 2.5%)!"\nWell... ok.\n'


@pytest.fixture(scope="module")
def cut():
    return Words.train([PUNCTUATED], min_count=1, splitter="unicode")


def test_words_numbers_and_single_characters_are_told_apart(cut):
    [words] = cut.split(tf.constant([PUNCTUATED])).to_list()
    tokens = [word.decode() for word in words]
    assert tokens == [
        *["He", "said", " :", '"', " I", "don't", "pay", "$", " 3,000.50"],
        *["(", " or", "2.5", " %", " )", " !", ' "'],
        *["Well", " .", " .", " .", "ok", " ."],
    ]
    back = cut.detokenize(cut.tokenize(tf.constant([PUNCTUATED])))
    assert back.numpy()[0].decode() == PUNCTUATED


@settings(max_examples=25, deadline=None)
@given(drawn=four(lines))
def test_round_trip_is_exact_where_words_are_cut(drawn):
    texts = ["\n".join(map(" ".join, lines)) for lines in drawn]
    tokenizer = Words.train([*texts, "\na"], min_count=1, splitter="unicode")
    texts = [text for text in texts if "<unk>" not in text]
    ids = tokenizer.tokenize(tf.constant([*texts, ""]))
    assert tokenizer.unk_id not in ids.flat_values
    back = tokenizer.detokenize(ids).numpy().tolist()
    assert back == [*(text.encode() for text in texts), b""]
    for text in texts[:1]:
        assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


def tokens_of(text):
    """The tokens of the unicode splitter, by Python's tables of Unicode."""
    found = []
    for word in text.encode().split():
        word = word.decode()
        classes = "".join(map(class_of, word))
        matches = re.finditer(r"n+(?:pn+)+|[lnm]+(?:q[lnm]+)*|.m*", classes)
        spans = [match.span() for match in matches]
        found += [" " * (a > 0) + word[a:b] for a, b in spans]
    return found


def class_of(character):
    known = {".": "p", ",": "p", "'": "q", "’": "q", "_": "l"}
    known |= dict.fromkeys("\u200c\u200d", "m")
    letter = unicodedata.category(character)[0].lower()
    return known.get(character, letter if letter in "lmn" else "o")


# Python's Unicode is older than RE2's: what it has not yet may be a letter.
assigned = st.characters(exclude_categories=["Cs", "Cn", "Co"])
frequent = st.sampled_from("aé1٣_.,'’ \n\u0301\u200d-\0\u00a0\u3000👩")


@settings(max_examples=38, deadline=None)
@given(texts=four(st.text(st.one_of(frequent, assigned), max_size=30)))
def test_tokens_and_their_counts_are_those_of_python(texts):
    expected = [tokens_of(text) for text in texts]
    counts = Counter(token for row in expected for token in row)
    twice = {token for token in counts if counts[token] > 1} | {"\n"}
    words = Words.train([*texts, " a a"], splitter="unicode")
    split = words.split(tf.constant(texts))
    assert [[t.decode() for t in row] for row in split.to_list()] == expected
    assert set(words.vocabulary) == twice | {"a"}
    assert words.unknown_bytes(texts).numpy().tolist() == [
        sum(
            len(token.lstrip(" ").encode())
            for token in row
            if token not in words.vocabulary
        )
        for row in expected
    ]


@pytest.mark.parametrize("splitter", ["white_space", "unicode"])
@pytest.mark.parametrize("normalization", ["none", "nfkc"])
def test_training_and_tokenizing_agree_on_lower_case(splitter, normalization):
    text = "İSTANBUL GROẞE ΟΔΟΣ ǅ K Å ﬁ ΐ Ω, Ⅷ, ② ¼ ﷺ"
    tokenizer = Words.train(
        [text],
        min_count=1,
        lowercase=True,
        splitter=splitter,
        normalization=normalization,
    )
    ids = tokenizer.tokenize(tf.constant([text]))
    assert tokenizer.unk_id not in ids.flat_values
    # What is text of the tokenizer is left as it is.
    back = tokenizer.detokenize(ids)
    assert tokenizer.tokenize(back).to_list() == ids.to_list()


def test_marks_stay_with_their_letters_and_symbols_stand_alone():
    tokenizer = Words(["\n"], splitter="unicode")
    text = "e\u0301te\u0301's שָׁלוֹם می‌خواهم 👩‍👧 ❤️, =\u0338 a\u00a0b l’été _x_1"
    [words] = tokenizer.split(tf.constant([text])).to_list()
    assert [word.decode() for word in words] == [
        *["e\u0301te\u0301's", "שָׁלוֹם", "می‌خواهم", "👩\u200d", " 👧"],
        *["❤️", " ,", "=\u0338", "a", " \u00a0", " b", "l’été", "_x_1"],
    ]


def test_unknown_bytes_are_those_of_the_text_where_words_are_cut(cut):
    text = "He, rued: pay?"
    expected = len("," + "rued" + "?")
    assert " ," not in cut.vocabulary
    assert cut.unknown_bytes(text).numpy() == expected
    assert cut.unknown_bytes(tf.constant([text, ""])).numpy()[0] == expected


def test_continuation_of_a_cut_word_has_no_space(cut):
    stop = cut.tokenize("ok.")
    joined = cut.continuation(stop[tf.newaxis], ["Well"])
    assert joined.numpy()[0] == b" ok."
    assert cut.continuation(stop[1:][tf.newaxis], ["ok"]).numpy()[0] == b"."


def test_saved_splitter_is_the_same(cut, tmp_path):
    cut.save(tmp_path)
    loaded = tokenizers.load(tmp_path)
    assert loaded.splitter == "unicode"
    ids = cut.tokenize(tf.constant([PUNCTUATED])).to_list()
    assert loaded.tokenize(tf.constant([PUNCTUATED])).to_list() == ids
    with pytest.raises(ValueError, match="unknown splitter 'moses'"):
        Words(["\n"], splitter="moses")


def test_unknown_word_is_not_cut():
    text = "a <unk>, b"
    tokenizer = Words.train([text], min_count=1, splitter="unicode")
    words = tokenizer.split(tf.constant(["a <unk> b"]))
    assert words.to_list() == [[b"a", b"<unk>", b"b"]]
    assert tokenizer.tokenize("a <unk> b").numpy().tolist()[1] == 1
    assert tokenizer.unknown_bytes("a <unk> b").numpy() == 0


@pytest.mark.parametrize("splitter", config.SPLITTERS)
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"lowercase": True}, "A <UNK> b <UNK> B"),
        ({"normalization": "nfkc"}, "a \uff1cUNK\uff1e b <UNK> b"),
    ],
)
def test_unknown_word_is_read_in_the_form_of_the_text(form, text, splitter):
    tokenizer = Words.train(
        [text],
        min_count=1,
        unknown_word="<UNK>",
        splitter=splitter,
        **form,
    )
    assert set(tokenizer.vocabulary) == {"a", "b", "\n"}
    a, b = (4 + tokenizer.vocabulary.index(word) for word in "ab")
    ids = tokenizer.tokenize(text + " zz")
    assert ids.numpy()[:5].tolist() == [a, 1, b, 1, b]
    assert tokenizer.detokenize([a, 1, b]).numpy() == b"a <UNK> b"
    assert tokenizer.unknown_bytes(text).numpy() == 0
    assert tokenizer.unknown_bytes("zz").numpy() == 2
