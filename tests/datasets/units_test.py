import json
import re

import pytest
import tensorflow as tf

from tflm.config import DataConfig
from tflm.datasets import divided, documents, load, pieces_of
from tflm.datasets.documents import PIECE_BYTES, Piece, cut

TEXT = "One. Two!\nline two\n\n \nThree? four\n   \n\n"
SIGNATURE = {
    "text": tf.TensorSpec((), tf.string),
    "starts": tf.TensorSpec((), tf.bool),
    "ends": tf.TensorSpec((), tf.bool),
}


def dataset(pieces):
    return tf.data.Dataset.from_generator(
        lambda: (piece._asdict() for piece in pieces),
        output_signature=SIGNATURE,
    )


def read(data):
    return [
        Piece(p["text"], bool(p["starts"]), bool(p["ends"]))
        for p in data.as_numpy_iterator()
    ]


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("paragraph", ["One. Two!\nline two", "Three? four"]),
        ("line", ["One. Two!", "line two", "Three? four"]),
        ("sentence", ["One.", "Two!\nline two", "Three? four"]),
    ],
)
def test_each_unit_is_a_document(unit, texts):
    data = divided(dataset([Piece(TEXT.encode(), True, True)] * 2), unit)
    expected = [Piece(text.encode(), True, True) for text in texts]
    assert read(data) == read(data) == expected * 2


def test_documents_stay_as_they_are():
    pieces = [Piece(b"a", True, False), Piece(b"b", False, True)]
    assert read(divided(dataset(pieces), "document")) == pieces


def test_what_a_split_cut_off_has_no_end():
    pieces = [Piece(b"a b\nc ", True, False), Piece(b"d\n", True, True)]
    assert read(divided(dataset(pieces), "line")) == [
        Piece(b"a b", True, True),
        Piece(b"c ", True, False),
        Piece(b"d", True, True),
    ]


@pytest.mark.parametrize("unit", ["paragraph", "line", "sentence"])
def test_pieces_of_a_document_are_one_text(unit, monkeypatch):
    text = "".join(
        f"Sentence {i}. And\nanother {i}!" + "\n" * (i % 4) for i in range(60)
    )
    whole = read(divided(dataset([Piece(text.encode(), True, True)]), unit))
    monkeypatch.setattr(documents, "PIECE_BYTES", 100)
    pieces = list(cut([text], True, True))
    assert len(pieces) > 10
    assert read(divided(dataset(pieces), unit)) == whole
    assert (
        len(whole)
        == {
            "paragraph": len(re.findall(r"\n\s*\n", text.strip())) + 1,
            "line": len([line for line in text.split("\n") if line.strip()]),
            "sentence": len(whole),
        }[unit]
    )


def test_unit_without_an_end_is_handed_on_in_bounded_pieces(monkeypatch):
    monkeypatch.setattr(documents, "PIECE_BYTES", 50)
    monkeypatch.setattr("tflm.datasets.units.PIECE_BYTES", 50)
    pieces = list(cut(["x" * 1000 + "\nyz"], True, True))
    lines = read(divided(dataset(pieces), "line"))
    assert max(len(piece.text) for piece in lines) <= 101
    assert b"".join(piece.text for piece in lines) == b"x" * 1000 + b"yz"
    assert [piece.starts for piece in lines] == [
        True,
        *[False] * (len(lines) - 2),
        True,
    ]
    assert [piece.ends for piece in lines].count(True) == 2


@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl"])
@pytest.mark.parametrize("unit", ["document", "line", "sentence"])
def test_one_line_of_megabytes_is_handed_on_in_pieces(tmp_path, ending, unit):
    text = "no end in sight é " * 200_000  # 3.8 MB
    rows = {
        "txt": text,
        "csv": f"text\n{text}\n",
        "jsonl": json.dumps({"text": text}),
    }
    path = tmp_path / f"one.{ending}"
    path.write_text(rows[ending], encoding="utf-8")
    config = DataConfig(
        train_file=str(path), validation_fraction=0, test_fraction=0
    )
    train = divided(load(config).splits["train"], unit)
    pieces = list(pieces_of(train))
    assert max(len(piece.text) for piece in pieces) <= PIECE_BYTES
    whole = b"".join(piece.text for piece in pieces).decode()
    assert whole == (text if unit == "document" else text.strip())
    assert [piece.starts for piece in pieces].count(True) == 1


@pytest.mark.parametrize("before", ["", "first\n"])
def test_white_space_of_megabytes_is_of_no_document(before):
    text = before + " " * (2 * PIECE_BYTES + 500) + "hello\nworld\n"
    pieces = dataset(list(cut([text], True, True)))
    lines = list(pieces_of(divided(pieces, "line")))
    assert [piece.text.decode() for piece in lines] == text.split()
    assert all(piece.starts and piece.ends for piece in lines)
