import itertools
import random

import pytest
import tensorflow as tf

from tflm.generation.token_spans import token_spans
from tflm.tokenizers import (
    Bytes,
    Characters,
    SentencePiece,
    Tokenizer,
    WordPiece,
    Words,
)

TEXTS = [
    b"",
    b"a rose is a rose",
    "日é\N{GRINNING FACE} e\N{COMBINING ACUTE ACCENT}".encode(),
    b"\r\n\t x\x0b\x0cy\n\n z ",
    b"\xffa\xe6\x97 b\xf0\x9f\x98\x80\xc3",
    b"\x00 \x00",
]
TOKENIZERS = [
    Bytes(),
    Characters("aérosei 日"),
    Words(["\n", "a", "rose", "x", "日é\N{GRINNING FACE}"]),
]


def random_texts():
    choose = random.Random(0)
    pieces = [b"a", b"rose", b" ", b"\n", "日".encode(), b"\xf0\x9f", b"\xff"]
    for length in range(40):
        yield b"".join(choose.choice(pieces) for _ in range(length))


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: t.kind)
def test_each_span_alone_is_its_token(tokenizer):
    for text in [*TEXTS, *random_texts()]:
        spans = token_spans(tokenizer, text)
        pieces = tf.constant(
            [text[begin:end] for begin, end in spans], "string"
        )
        ids = tokenizer.tokenize(tf.constant([text])).to_list()[0]
        assert tokenizer.tokenize(pieces).to_list() == [[id_] for id_ in ids]
        bounds = [0, *itertools.chain(*spans), len(text)]
        assert bounds == sorted(bounds)
        between = zip(bounds[::2], bounds[1::2], strict=True)
        left_out = b"".join(text[begin:end] for begin, end in between)
        assert left_out.strip() == b""
        assert tokenizer.kind == "words" or left_out == b""


WORD_PIECES = WordPiece(
    ["\n", "x", "ro", " se", " ros", "日", " é", " \N{GRINNING FACE}"]
)


@pytest.mark.parametrize("text", TEXTS)
def test_word_pieces_stand_one_behind_another_in_their_word(text):
    ids = WORD_PIECES.tokenize(tf.constant(text)).numpy()
    spans = token_spans(WORD_PIECES, text)
    assert len(spans) == len(ids)
    for (begin, end), id_ in zip(spans, ids, strict=True):
        if id_ != WORD_PIECES.unk_id:
            assert text[begin:end] == WORD_PIECES.piece(id_)


def test_words_and_their_punctuation_stand_one_behind_another():
    text = "(He said: don't pay 3.50!)\n日é\N{GRINNING FACE}".encode()
    tokenizer = Words.train([text], min_count=1, splitter="unicode")
    pieces = [text[begin:end] for begin, end in token_spans(tokenizer, text)]
    assert [piece.decode() for piece in pieces] == [
        *["(", "He", "said", ":", "don't", "pay", "3.50", "!", ")", "\n"],
        *["日é", "\N{GRINNING FACE}"],
    ]


def test_sentence_pieces_stand_one_behind_another():
    text = "日é\n a rose is a rose\0".encode()
    tokenizer = SentencePiece.train(["a rose is a rose"])
    spans = token_spans(tokenizer, text)
    assert b"".join(text[begin:end] for begin, end in spans) == text
    ids = tokenizer.tokenize(tf.constant(text)).numpy()
    for (begin, end), id_ in zip(spans, ids, strict=True):
        assert text[begin:end] == tokenizer.detokenize([id_]).numpy()
    # U+FFFD in three bytes stands for what is broken.
    assert token_spans(tokenizer, b"a\xff")[-3:] == [(1, 2)] * 3


def test_capital_that_becomes_two_characters():
    tokenizer = Characters("abi\N{COMBINING DOT ABOVE}", lowercase=True)
    text = "A\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}B"
    assert tokenizer.tokenize(tf.constant(text)).numpy().tolist() == [
        4,
        6,
        7,
        5,
    ]
    spans = token_spans(tokenizer, text.encode())
    assert spans == [(0, 1), (1, 3), (1, 3), (3, 4)]
    assert token_spans(tokenizer, b"") == []


NORMALISED = [
    Characters("abi", lowercase=True, normalization="nfkc"),
    Words(["\n", "a"], normalization="nfkc"),
    Words(["\n", "a"], lowercase=True, splitter="unicode"),
    WordPiece(["\n", "a", "b", " a", " b", " \u0307"], lowercase=True),
    SentencePiece.train(["a b"], lowercase=True, normalization="nfkc"),
]


@pytest.mark.parametrize("tokenizer", NORMALISED, ids=lambda t: t.kind)
def test_what_is_normalised_is_told_apart(tokenizer):
    # A capital of two characters, a ligature, a space of its own kind, an
    # accent apart and broken bytes.
    pieces = ["a", "\u0130b", "\ufb01", "\u00a0", "e\u0301", " \n", "AB"]
    text = "".join(pieces).encode() + b"\xe6\x97 a"
    spans = token_spans(tokenizer, text)
    assert len(spans) == len(tokenizer.tokenize(tf.constant(text)))
    assert spans == sorted(spans)
    assert all(0 <= begin < end <= len(text) for begin, end in spans)
    assert spans[0][0] == 0
    assert spans[-1] == (len(text) - 1, len(text))
    covered = {byte for begin, end in spans for byte in range(begin, end)}
    left_out = bytes(b for i, b in enumerate(text) if i not in covered)
    white = left_out.decode().strip("\u00a0 ")
    assert white == ""


def test_ligature_belongs_to_each_of_its_letters():
    tokenizer = Characters("fi", normalization="nfkc")
    assert token_spans(tokenizer, "i\ufb01f".encode()) == [
        *[(0, 1), (1, 4), (1, 4), (4, 5)],
    ]
    words = Words(["\n", "a"], normalization="nfkc")
    assert token_spans(words, "a\u00a0a".encode()) == [(0, 1), (3, 4)]


def test_tokenizer_that_does_not_tell_is_refused():
    class Other(Tokenizer):
        kind = "other"
        vocabulary_size = tokenize = detokenize = unknown_bytes = None
        get_config = dict

    with pytest.raises(ValueError, match="`tokenizer` must be .*=other"):
        token_spans(Other(), b"a")
