import sys
import unicodedata

import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies

from tflm import config, tokenizers
from tflm.tokenizers import Characters

UNKNOWN = 1
FIRST = 4  # the id of the vocabulary's first entry

AWKWARD = [
    "",
    "\0",
    "a\0b\0\0",
    "line\nline\r\n\n\r\u2028\u0085\t ",
    "e\N{COMBINING ACUTE ACCENT} is not é, nor \N{COMBINING TILDE} alone",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇳🇱",
    "שָׁלוֹם مرحبا \u202eabc\u202c \u200f",
    "\ufefffirst and \ufeff later",
    "\ufffe\uffff\ufffd",
    "日本語 हिन्दी 한국어 Ω",
    "[PAD] [UNK] [START] [END]",
]

# All of Unicode but the surrogates, which UTF-8 has not.
CHARACTERS = strategies.characters(exclude_categories=["Cs"])
# Half of what it draws is known to WIDE.
MIXED = strategies.one_of(
    strategies.sampled_from(sorted(set("".join(AWKWARD)))), CHARACTERS
)
KNOWN = sorted(set("".join(AWKWARD)))
WIDE = Characters(KNOWN)
IDS = {character: FIRST + i for i, character in enumerate(KNOWN)}

# The first call of an op takes long; examples are not kept on disk.
quick = hypothesis.settings(deadline=None, database=None, max_examples=100)
few = hypothesis.settings(quick, max_examples=8)


def brute_ids(text):
    return [IDS.get(character, UNKNOWN) for character in text]


def brute_unknown_bytes(text):
    return sum(len(c.encode()) for c in text if c not in IDS)


def batch_of(texts):
    return tf.constant(texts, tf.string, [len(texts)])


def as_list(values):
    if isinstance(values, tf.RaggedTensor):
        return values.to_list()
    return values.numpy().tolist() if values.shape.rank else values.numpy()


def scalars(function, texts):
    return [as_list(function(tf.constant(text))) for text in texts]


def batch(function, texts):
    return as_list(function(batch_of(texts)))


def dataset(function, texts):
    rows = tf.data.Dataset.from_tensor_slices(batch_of(texts)).map(function)
    return [as_list(row) for row in rows]


def dataset_of_batches(function, texts):
    rows = tf.data.Dataset.from_tensor_slices(batch_of(texts))
    return [
        row for part in rows.batch(2).map(function) for row in as_list(part)
    ]


IN_GRAPH = {
    method: tf.function(
        getattr(WIDE, method),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    for method in ("tokenize", "unknown_bytes")
}


@quick
@hypothesis.given(strategies.text(CHARACTERS))
@hypothesis.example("\0")
@hypothesis.example("\ufeff")
def test_text_survives_where_all_is_known(text):
    tokenizer = Characters(sorted(set(text)))
    ids = tokenizer.tokenize(tf.constant(text))
    assert ids.dtype == tf.int32
    assert tokenizer.detokenize(ids).numpy().decode() == text
    rows = tokenizer.tokenize(batch_of([text, "", text]))
    decoded = [row.decode() for row in tokenizer.detokenize(rows).numpy()]
    assert decoded == [text, "", text]


def test_every_character_survives():
    surrogates = range(0xD800, 0xE000)
    everything = [
        chr(c) for c in range(sys.maxunicode + 1) if c not in surrogates
    ]
    text = "".join(everything)
    tokenizer = Characters(everything)
    ids = tokenizer.tokenize(tf.constant(text))
    assert ids.numpy().tolist() == list(range(4, 4 + len(everything)))
    assert tokenizer.detokenize(ids).numpy().decode() == text


@pytest.mark.parametrize("way", [scalars, batch, dataset, dataset_of_batches])
def test_awkward_texts_survive_however_they_come(way):
    ids = way(WIDE.tokenize, AWKWARD)
    assert ids == [brute_ids(text) for text in AWKWARD]

    def there_and_back(texts):
        return WIDE.detokenize(WIDE.tokenize(texts))

    decoded = [text.decode() for text in way(there_and_back, AWKWARD)]
    assert decoded == AWKWARD


@quick
@hypothesis.given(strategies.lists(strategies.text(MIXED), max_size=4))
def test_ids_are_those_of_a_dictionary(texts):
    expected = [brute_ids(text) for text in texts]
    assert scalars(WIDE.tokenize, texts) == expected
    assert batch(WIDE.tokenize, texts) == expected
    assert batch(IN_GRAPH["tokenize"], texts) == expected


@few
@hypothesis.given(strategies.lists(strategies.text(MIXED), max_size=30))
def test_ids_and_bytes_are_the_same_inside_of_a_dataset(texts):
    ids = [brute_ids(text) for text in texts]
    assert dataset(WIDE.tokenize, texts) == ids
    assert dataset_of_batches(WIDE.tokenize, texts) == ids
    lost = [brute_unknown_bytes(text) for text in texts]
    assert dataset(WIDE.unknown_bytes, texts) == lost
    assert dataset_of_batches(WIDE.unknown_bytes, texts) == lost


@quick
@hypothesis.given(strategies.lists(strategies.text(MIXED), max_size=4))
def test_unknown_bytes_are_those_of_the_unknown_characters(texts):
    expected = [brute_unknown_bytes(text) for text in texts]
    assert scalars(WIDE.unknown_bytes, texts) == expected
    assert batch(WIDE.unknown_bytes, texts) == expected
    assert batch(IN_GRAPH["unknown_bytes"], texts) == expected


def test_unknown_bytes_count_each_length_of_utf8():
    edges = "\x7f\x80\u07ff\u0800\uffff\U00010000"
    lengths = WIDE.unknown_bytes(batch_of(list(edges[:-2]) + [edges[-1]]))
    assert lengths.dtype == tf.int64
    assert lengths.numpy().tolist() == [1, 2, 2, 3, 4]
    assert WIDE.unknown_bytes(tf.constant(edges[:3])).numpy() == 5


@quick
@hypothesis.given(strategies.binary())
@hypothesis.example(b"cut off \xe6\x97")
@hypothesis.example(b"\xc0\x80 \xed\xa0\x80 \xf5\x80\x80\x80")
def test_broken_utf8_is_read_as_replacement_characters(data):
    text = data.decode("utf-8", errors="replace")
    assert WIDE.tokenize(tf.constant(data)).numpy().tolist() == brute_ids(text)


def test_unknown_character_is_spelled_as_a_replacement_character():
    tokenizer = Characters("ab")
    ids = tokenizer.tokenize(batch_of(["abc", "é", "\U0010ffff"]))
    assert ids.to_list() == [[4, 5, 1], [1], [1]]
    decoded = [row.decode() for row in tokenizer.detokenize(ids).numpy()]
    assert decoded == ["ab\ufffd", "\ufffd", "\ufffd"]


def test_padding_start_and_end_have_no_surface():
    tokenizer = Characters("ab")
    dense = tf.constant([[2, 4, 3, 0], [2, 5, 5, 3]])
    assert tokenizer.detokenize(dense).numpy().tolist() == [b"a", b"bb"]
    assert tokenizer.detokenize(tf.constant([2, 4, 3])).numpy() == b"a"
    assert tokenizer.detokenize(tf.zeros([0], tf.int32)).numpy() == b""


def test_names_of_special_ids_are_ordinary_text():
    text = "[PAD] [UNK] [START] [END]"
    tokenizer = Characters.train([text])
    ids = tokenizer.tokenize(tf.constant(text))
    assert min(ids.numpy()) >= FIRST and len(ids) == len(text)
    assert tokenizer.detokenize(ids).numpy().decode() == text


def test_special_ids_come_first():
    ids = (WIDE.pad_id, WIDE.unk_id, WIDE.start_id, WIDE.end_id)
    assert ids == (0, 1, 2, 3)
    assert Characters("abc").vocabulary_size == 7
    assert Characters("").vocabulary_size == 4


def test_batch_of_no_texts():
    ids = WIDE.tokenize(batch_of([]))
    assert ids.to_list() == []
    assert WIDE.detokenize(ids).shape == [0]
    assert WIDE.unknown_bytes(batch_of([])).shape == [0]


def test_training_puts_the_most_frequent_first_then_by_code_point():
    tokenizer = Characters.train(["cab", "ccb", "\n日"])
    assert tokenizer.vocabulary == ("c", "b", "\n", "a", "日")


@pytest.mark.parametrize(
    ("options", "vocabulary"),
    [
        ({"vocabulary_size": 6}, "cb"),
        ({"vocabulary_size": 99}, "cb\na日"),
        ({"min_count": 2}, "cb"),
        ({"min_count": 3}, "c"),
        ({"min_count": 2, "vocabulary_size": 5}, "c"),
    ],
)
def test_training_leaves_out_the_rare(options, vocabulary):
    tokenizer = Characters.train(["cab", "ccb", "\n日"], **options)
    assert tokenizer.vocabulary == tuple(vocabulary)


def test_training_takes_text_in_every_form():
    texts = ["ab", "", "bé日"]
    forms = [
        texts,
        iter(texts),
        [text.encode() for text in texts],
        [tf.constant(text) for text in texts],
        tf.data.Dataset.from_tensor_slices(texts),
    ]
    found = {Characters.train(form).vocabulary for form in forms}
    assert found == {("b", "a", "é", "日")}


def test_training_reads_broken_utf8_as_replacement_characters():
    assert Characters.train([b"a\xff\xfe"]).vocabulary == ("\ufffd", "a")


def test_lower_case_is_that_of_the_op_in_training_and_after():
    text = "ΑΣ ΑΣΑ ǅ İstanbul STRASSE ẞ É ДА"
    lowered = tf.strings.lower(text, "utf-8").numpy().decode()
    tokenizer = Characters.train([text], lowercase=True)
    assert set(tokenizer.vocabulary) == set(lowered)
    for texts in (tf.constant(text), batch_of([text])):
        decoded = tokenizer.detokenize(tokenizer.tokenize(texts))
        assert tf.reshape(decoded, []).numpy().decode() == lowered
        assert tf.reduce_sum(tokenizer.unknown_bytes(texts)) == 0
    # What the op does where characters have one lower case.
    assert "straße ß é да".replace("ß", "ss", 1) in lowered


def test_case_is_kept_by_default():
    assert Characters.train(["Aa"]).vocabulary == ("A", "a")


def test_no_normalization():
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    rows = WIDE.tokenize(batch_of([composed, decomposed]))
    assert rows.row_lengths().numpy().tolist() == [1, 2]


def test_settings_choose_kind_and_options():
    settings = config.TokenizerConfig(
        vocabulary_size=6, min_count=2, lowercase=True
    )
    tokenizer = tokenizers.train(["AaBbbcc d"], settings)
    assert isinstance(tokenizer, Characters)
    assert tokenizer.vocabulary == ("b", "a")


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (["a", "bc"], "`vocabulary` must hold single char.* Received: 'bc'"),
        (["a", ""], "`vocabulary` must hold single char.* Received: ''"),
        ("abca", "`vocabulary` must hold each .* once. Received twice: 'a'"),
    ],
)
def test_vocabulary_holds_single_different_characters(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        Characters(vocabulary)


def test_training_needs_a_character():
    with pytest.raises(
        ValueError, match="`texts` must hold.* Received: 2 .*min_count=3"
    ):
        Characters.train(["aabb"], min_count=3)


def test_training_needs_room_for_a_character():
    with pytest.raises(
        ValueError,
        match="`vocabulary_size` must be at least 5. .*vocabulary_size=3",
    ):
        Characters.train(["aabb"], vocabulary_size=3)
