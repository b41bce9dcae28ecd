import sys
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.tokenizers import Characters, SentencePiece, WordPiece, Words
from tflm.tokenizers.normalizer import Normalizer

TEXT = "ﬁne cafe\u0301 Å ｆｕｌｌ\n" * 6


@pytest.mark.parametrize("form", ["nfc", "nfkc"])
@settings(max_examples=100, deadline=None)
# Python's Unicode is older than TF-Text's.
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn"])))
def test_normal_forms_are_pythons(form, text):
    normalized = Normalizer(normalization=form)(tf.constant([text]))
    expected = unicodedata.normalize(form.upper(), text)
    assert normalized.numpy()[0].decode() == expected


@pytest.mark.parametrize("form", ["nfc", "nfkc"])
def test_every_character_has_pythons_normal_form(form):
    assigned = [
        chr(code_point)
        for code_point in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code_point)) not in ("Cs", "Cn", "Co")
    ]
    normalized = Normalizer(normalization=form)(tf.constant(assigned))
    expected = [unicodedata.normalize(form.upper(), c) for c in assigned]
    assert [text.decode() for text in normalized.numpy()] == expected


def test_nothing_is_done_unless_it_is_asked_for():
    text = tf.constant([b"\xff E\xcc\x81"])
    assert Normalizer()(text) is text
    assert Normalizer().op_libraries == ()
    assert Normalizer().get_config() == {}


def test_lower_case_goes_on_behind_nul():
    lower = Normalizer(lowercase=True)
    text = [["A\0\0B", ""], ["\0ΑΣ\0", "É"]]
    expected = [["a\0\0b", ""], ["\0ας\0", "é"]]
    assert lower(tf.constant(text)).numpy().tolist() == [
        [word.encode() for word in row] for row in expected
    ]
    assert lower("A\0B").numpy() == b"a\0b"


def test_what_is_not_utf8_is_replaced():
    normalized = Normalizer(normalization="nfc")(tf.constant(b"a\xff"))
    assert normalized.numpy().decode() == "a\ufffd"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Characters, {}),
        (Words, {}),
        (Words, {"splitter": "unicode"}),
        (WordPiece, {"vocabulary_size": 60}),
        (SentencePiece, {}),
    ],
)
def test_training_and_tokenizing_see_the_same_text(kind, options):
    tokenizer = kind.train(
        [TEXT], **options, normalization="nfkc", lowercase=True
    )
    expected = unicodedata.normalize("NFKC", TEXT).lower()
    ids = tokenizer.tokenize(tf.constant([TEXT, expected]))
    rows = ids.to_list()
    assert rows[0] == rows[1]
    assert tokenizer.unk_id not in rows[0]
    assert tokenizer.detokenize(ids).numpy()[0].decode() == expected
    assert tokenizer.op_libraries == ("tensorflow_text",)
    again = kind.from_config(tokenizer.get_config())
    assert again.tokenize(tf.constant([TEXT])).to_list() == rows[:1]
    assert again.fingerprint() == tokenizer.fingerprint()


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="unknown normalization 'nfd'"):
        Normalizer(normalization="nfd")
