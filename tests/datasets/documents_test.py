"""Pieces: joined they are the text, and they are cut where it does no harm."""

import random
import re
from fractions import Fraction

import pytest

from tflm.datasets import documents
from tflm.datasets.documents import Piece, PlainText, Row, cut
from tflm.datasets.files import TextFile
from tflm.datasets.held_out import HeldOut

WHOLE = HeldOut()


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(documents, "PIECE_BYTES", 8)


def texts(pieces):
    return [piece.text.decode() for piece in pieces]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [""]),
        ("12345678", ["12345678"]),
        ("123456789", ["12345678", "9"]),
        ("ab\ncd\nefgh", ["ab\ncd\n", "efgh"]),
        ("ab\ncd efgh", ["ab\n", "cd efgh"]),
        ("ab cd efgh", ["ab cd ", "efgh"]),
        ("ab\tcdefgh", ["ab\t", "cdefgh"]),
        ("\n" * 10, ["\n" * 8, "\n" * 2]),
        ("日本語日本", ["日本", "語日", "本"]),
        ("🦜🦜🦜", ["🦜🦜", "🦜"]),
        ("aaéééé", ["aaééé", "é"]),
        ("aéééé", ["aééé", "é"]),
        # Not ASCII, so no white space to a tokenizer of words.
        ("a\u3000bcdefg", ["a\u3000bcde", "fg"]),
    ],
)
def test_cut_prefers_newlines_then_white_space(small_pieces, text, expected):
    assert texts(cut([text], True, True)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_pieces_join_to_the_text_however_it_arrives(small_pieces, seed):
    draw = random.Random(seed)
    text = "".join(draw.choices("ab \né日🦜\u0301", k=200))
    chunks = re.findall(rf".{{1,{seed + 1}}}", text, re.DOTALL)
    pieces = list(cut(chunks, True, True))
    assert b"".join(piece.text for piece in pieces) == text.encode()
    assert all(0 < len(piece.text) <= 8 for piece in pieces)
    assert texts(pieces) == texts(cut([text], True, True))
    assert [p.starts for p in pieces] == [True] + [False] * (len(pieces) - 1)
    assert [p.ends for p in pieces] == [False] * (len(pieces) - 1) + [True]


def test_cutting_leaves_words_and_newlines_as_they_are(small_pieces):
    draw = random.Random(1)
    words = ["a", "bc", "def", "ghijklm", "é日"]
    text = "".join(draw.choice(words) + draw.choice(" \n") for _ in range(300))

    def tokens(part):
        return re.findall(r"\n|[^ \t\r\v\f\n]+", part)

    pieces = texts(cut([text], True, True))
    assert len(pieces) > 50
    assert [t for piece in pieces for t in tokens(piece)] == tokens(text)


def test_a_piece_holds_at_most_a_mebibyte():
    assert [len(p.text) for p in cut(["x" * 2**20], True, True)] == [2**20]
    sizes = [len(p.text) for p in cut(["日" * 2**20], True, True)]
    assert sum(sizes) == 3 * 2**20
    assert max(sizes) <= 2**20 and all(size % 3 == 0 for size in sizes)


def test_row_goes_to_one_split_as_a_whole():
    held_out = HeldOut(Fraction("0.4"), Fraction("0.3"))
    for text in ("", "a", "b", "c", "é", "日本語"):
        parts = {
            split: list(Row(text).part(split, held_out))
            for split in ("train", "validation", "test")
        }
        own = parts.pop(held_out.split_of(text))
        assert own == [Piece(text.encode(), True, True)]
        assert list(parts.values()) == [[], []]


def test_row_keeps_its_marks():
    [piece] = Row("a", starts=False, ends=False).part("train", WHOLE)
    assert piece == Piece(b"a", False, False)


def test_shortened_row_does_not_end():
    assert Row("日本語").shortened(2) == Row("日本", True, False)
    assert Row("日本語").shortened(3) == Row("日本語")
    assert Row("日本語").shortened(None) == Row("日本語")


@pytest.fixture
def plain(tmp_path):
    def write(text, most=None):
        path = tmp_path / "text.txt"
        path.write_bytes(text.encode())
        return PlainText(TextFile("train_file", "text.txt", path), most)

    return write


def test_plain_text_holds_out_its_end(plain):
    document = plain("0123456789日本語日本語日本語日")
    held_out = HeldOut(Fraction("0.2"), Fraction("0.1"))
    assert document.length == 20
    assert {
        split: list(document.part(split, held_out))
        for split in ("train", "validation", "test")
    } == {
        "train": [Piece("0123456789日本語日".encode(), True, False)],
        "validation": [Piece("本語日本".encode(), True, False)],
        "test": [Piece("語日".encode(), True, True)],
    }


def test_plain_text_without_held_out_part_ends(plain):
    document = plain("abc")
    assert list(document.part("train", WHOLE)) == [Piece(b"abc", True, True)]
    assert list(document.part("test", WHOLE)) == []


def test_plain_text_is_shortened_before_it_is_divided(plain):
    document = plain("0123456789", most=5)
    held_out = HeldOut(test=Fraction("0.4"))
    assert list(document.part("train", held_out)) == [
        Piece(b"012", True, False)
    ]
    # The file goes on, so the document does not end here.
    assert list(document.part("test", held_out)) == [Piece(b"34", True, False)]
    whole = plain("0123456789", most=10)
    assert list(whole.part("test", held_out)) == [Piece(b"6789", True, True)]


def test_plain_text_is_divided_at_characters_across_chunks(plain, monkeypatch):
    monkeypatch.setattr("tflm.datasets.files.CHUNK_CHARACTERS", 3)
    monkeypatch.setattr(documents, "PIECE_BYTES", 5)
    text = "日本 é🦜\n" * 9
    document = plain(text)
    held_out = HeldOut(Fraction("0.21"), Fraction("0.13"))
    for split, (first, last) in held_out.bounds(len(text)).items():
        pieces = list(document.part(split, held_out))
        assert len(pieces) > 1
        assert "".join(texts(pieces)) == text[first:last]
