"""`load`: which source gives which split, and what its pieces are."""

import json
import math
from fractions import Fraction

import pytest
import tensorflow as tf

from tflm import datasets
from tflm.config import DataConfig

SENTENCES = [f"Sentence {n}: 日本語 🦜 e\u0301.\n" for n in range(400)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "play.txt").write_text("0123456789" * 10, encoding="utf-8")
    (tmp_path / "other.txt").write_text("abc", encoding="utf-8")
    rows = "".join(json.dumps(text) + "\n" for text in SENTENCES * 2)
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    return tmp_path


def load(**settings):
    """Each split as a list of (text, starts, ends), read twice."""
    data = datasets.load(DataConfig(**settings))
    splits = {}
    for split, dataset in data.splits.items():
        passes = [
            [
                (e["text"].decode(), bool(e["starts"]), bool(e["ends"]))
                for e in dataset.as_numpy_iterator()
            ]
            for _ in range(2)
        ]
        assert passes[0] == passes[1]
        splits[split] = passes[0]
    return splits


def test_elements_are_scalars_in_graphs_too(folder):
    data = datasets.load(DataConfig(train_file="play.txt"))
    assert data.name == "play.txt"
    assert data.splits["train"].element_spec == {
        "text": tf.TensorSpec((), tf.string),
        "starts": tf.TensorSpec((), tf.bool),
        "ends": tf.TensorSpec((), tf.bool),
    }

    @tf.function
    def length(dataset):
        return dataset.reduce(
            0, lambda total, piece: total + tf.strings.length(piece["text"])
        )

    assert int(length(data.splits["train"])) == 90


TEXT = "0123456789" * 10


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {},
            {
                "train": [(TEXT[:90], True, False)],
                "validation": [(TEXT[90:95], True, False)],
                "test": [(TEXT[95:], True, True)],
            },
        ),
        (
            {"validation_fraction": 0.1, "test_fraction": 0},
            {
                "train": [(TEXT[:90], True, False)],
                "validation": [(TEXT[90:], True, True)],
            },
        ),
        (
            {"validation_fraction": 0, "test_fraction": 0},
            {"train": [(TEXT, True, True)]},
        ),
        (
            {"validation_file": "other.txt"},
            {
                "train": [(TEXT[:95], True, False)],
                "validation": [("abc", True, True)],
                "test": [(TEXT[95:], True, True)],
            },
        ),
        (
            {"test_file": "other.txt", "validation_fraction": 0.2},
            {
                "train": [(TEXT[:80], True, False)],
                "validation": [(TEXT[80:], True, True)],
                "test": [("abc", True, True)],
            },
        ),
        (
            {"validation_file": "other.txt", "test_file": "other.txt"},
            {
                "train": [(TEXT, True, True)],
                "validation": [("abc", True, True)],
                "test": [("abc", True, True)],
            },
        ),
        (
            {"max_document_characters": 20},
            {
                "train": [(TEXT[:18], True, False)],
                "validation": [(TEXT[18:19], True, False)],
                "test": [(TEXT[19:20], True, False)],
            },
        ),
        (
            {"train_file": ("play.txt", "other.txt")},
            {
                "train": [(TEXT[:90], True, False), ("ab", True, False)],
                # Nothing of three characters is left for validation.
                "validation": [(TEXT[90:95], True, False)],
                "test": [(TEXT[95:], True, True), ("c", True, True)],
            },
        ),
    ],
)
def test_plain_text_is_divided_at_its_end(folder, settings, expected):
    assert load(**{"train_file": "play.txt", **settings}) == expected


def test_a_tenth_of_a_million_characters_is_exact(folder):
    length = 1_115_394
    (folder / "long.txt").write_text(("word " * length)[:length])
    splits = load(
        train_file="long.txt", validation_fraction=0.1, test_fraction=0
    )
    [(train, _, _)], [(validation, _, _)] = splits.values()
    assert (len(train), len(validation)) == (1_003_854, 111_540)


def test_long_text_comes_in_pieces_that_join_to_it(folder):
    text = "".join(SENTENCES) * 500
    (folder / "long.txt").write_text(text, encoding="utf-8", newline="")
    splits = load(
        train_file="long.txt", validation_fraction=0.4, test_fraction=0
    )
    cut = len(text) - math.ceil(Fraction(2 * len(text), 5))
    for split, part in (("train", text[:cut]), ("validation", text[cut:])):
        pieces = splits[split]
        assert len(pieces) >= 3
        assert "".join(piece for piece, _, _ in pieces) == part
        assert [s for _, s, _ in pieces] == [True] + [False] * (len(pieces) - 1)
        assert not any(ends for _, _, ends in pieces[:-1])
        assert all(piece.endswith("\n") for piece, _, _ in pieces[:-1])
        assert all(len(piece.encode()) <= 2**20 for piece, _, _ in pieces)
    assert not splits["train"][-1][2] and splits["validation"][-1][2]


def test_rows_are_divided_by_their_text(folder):
    splits = load(
        train_file="rows.jsonl", validation_fraction=0.2, test_fraction=0.1
    )
    texts = {
        split: [text for text, _, _ in found] for split, found in splits.items()
    }
    assert all(
        starts and ends for f in splits.values() for _, starts, ends in f
    )
    # Every row is there once, and equal rows are in one split.
    assert sorted(sum(texts.values(), [])) == sorted(SENTENCES * 2)
    sets = [set(found) for found in texts.values()]
    assert sum(map(len, sets)) == len(SENTENCES) == len(set.union(*sets))
    order = {text: number for number, text in enumerate(SENTENCES)}
    for found in texts.values():
        numbers = [order[text] for text in found]
        half = len(numbers) // 2
        assert numbers[:half] == sorted(numbers[:half]) == numbers[half:]
    # Five standard deviations of a binomial are a tenth.
    assert len(sets[1]) / 400 == pytest.approx(0.2, abs=0.1)


def test_rows_that_are_equal_once_cut_share_a_split(folder):
    splits = load(
        train_file="rows.jsonl",
        max_document_characters=11,
        validation_fraction=0.3,
        test_fraction=0.2,
    )
    sets = [{text for text, _, _ in found} for found in splits.values()]
    assert len(sets) == 3
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert not any(ends for f in splits.values() for _, _, ends in f)


def test_text_is_kept_to_the_last_byte(folder):
    texts = ["", "\0", "a\0b\0", "\r\n", "日本語 🦜 e\u0301", "\ufeff"]
    (folder / "odd.json").write_text(json.dumps(texts))
    splits = load(train_file="odd.json", validation_fraction=0, test_fraction=0)
    assert splits == {"train": [(text, True, True) for text in texts]}


def test_tfds_dataset_has_its_own_splits(tmp_path):
    config = DataConfig(data_dir=str(tmp_path), max_document_characters=50)
    data = datasets.load(config)
    assert data.name.startswith("python_docs/")
    assert list(data.splits) == ["train", "validation", "test"]
    for dataset in data.splits.values():
        for piece in dataset.as_numpy_iterator():
            text = piece["text"].decode()
            assert len(text) <= 50 and piece["starts"]
            assert len(text) < 50 or not piece["ends"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"train_file": "other.txt"},
            "`validation_fraction` must be large enough to hold out some "
            "text, or 0. Received: validation_fraction=0.05. Raise it, set "
            "it to 0, or give the validation split a source of its own",
        ),
        (
            {"train_file": "rows.jsonl", "test_fraction": 1e-9},
            "`test_fraction` must be large enough to hold out some text, or "
            "0. Received: test_fraction=1e-09. Raise it, set it to 0, or give "
            "the test split a source of its own",
        ),
        (
            {
                "train_file": "other.txt",
                "validation_fraction": 0.6,
                "test_fraction": 0.3,
            },
            "`validation_fraction` and `test_fraction` must leave text to "
            "train on. Received: validation_fraction=0.6, test_fraction=0.3. "
            "Lower them, or give more text",
        ),
        (
            {"test_file": "other.txt"},
            "`validation_file` and `test_file` need `train_file` beside "
            "them. Received: validation_file=(), test_file=('other.txt',). "
            "Give --train_file too",
        ),
    ],
)
def test_mistakes(folder, settings, expected):
    with pytest.raises(ValueError) as caught:
        datasets.load(DataConfig(**settings))
    assert str(caught.value) == expected


def test_what_is_wrong_with_a_file_is_said_by_load(folder):
    (folder / "late.txt").write_bytes(b"a" * 3_000_000 + b"\xff")
    with pytest.raises(ValueError, match="0xff at offset 3000000 .*--encod"):
        datasets.load(DataConfig(train_file="late.txt"))
