"""Finding files and decoding them; each mistake has one clear line."""

import gzip
import io
import os
import re
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tflm.config import DataConfig
from tflm.datasets import files
from tflm.datasets.files import TextFile, find

MIXED = "a\r\nb\rc\nd\x85e\u2028 e\u0301 日本 🦜\x00\n\n"


def text_file(path, encoding="utf-8"):
    return TextFile("train_file", str(path), path, encoding)


def read(path, encoding="utf-8"):
    return "".join(text_file(path, encoding).chunks())


def message(action):
    with pytest.raises((ValueError, OSError)) as caught:
        action()
    assert "\n" not in str(caught.value)
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("UTF8", b"\xef\xbb\xbf"),
        ("utf-8-sig", b"\xef\xbb\xbf"),
        ("utf-16", b""),
        ("gb18030", b""),
    ],
)
@pytest.mark.parametrize("chunk", [1, 4, 2**20])
def test_text_is_read_exactly(tmp_path, monkeypatch, encoding, mark, chunk):
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", chunk)
    path = tmp_path / "text"
    content = MIXED.encode("utf-8" if mark else encoding)
    path.write_bytes(mark + content)
    assert read(path, encoding) == MIXED
    packed = tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(mark + content))
    assert read(packed, encoding) == MIXED


def test_only_the_first_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeff\ufeffa\ufeff".encode())
    assert read(path) == "\ufeffa\ufeff"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", ".txt"),
        ("a.csv.gz", ".csv"),
        ("b.d/A.JSONL.GZ", ".jsonl"),
        ("play", ""),
        ("play.gz", ""),
    ],
)
def test_kind_is_the_ending_without_gz(name, kind):
    assert TextFile("train_file", name, Path(name)).kind == kind


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("before", [0, 1, 8191, 8192, 100_003])
@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        ("utf-8", "é", b"\xff"),
        ("utf-8", "é", b"\xe9"),  # the start of a character, then the end
        ("ascii", "a", b"\xe9"),
        ("utf-8-sig", "日", b"\x80"),
        ("gbk", "日", b"\xff\xff"),
        ("cp1252", "é", b"\x81"),
    ],
)
def test_undecodable_byte_is_named(
    tmp_path, compressed, before, encoding, good, bad
):
    start = (good * before).encode(encoding)
    path = tmp_path / ("text.gz" if compressed else "text")
    content = start + bad
    path.write_bytes(gzip.compress(content) if compressed else content)
    kind, text = message(lambda: read(path, encoding))
    assert kind is ValueError
    assert text == (
        f"`train_file` must be text in {encoding}. Received: "
        f"train_file={path}. Byte 0x{bad[0]:02x} at offset {len(start)} is "
        "not. Name its encoding with --encoding, such as --encoding=latin-1"
    )


def test_undecodable_byte_after_a_byte_order_mark(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfabc\xff")
    _, text = message(lambda: read(path))
    assert "Byte 0xff at offset 6 " in text


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_told_by_its_mark(tmp_path, mark):
    path = tmp_path / "text"
    path.write_bytes(mark + b"a\0b\0")
    _, text = message(lambda: read(path))
    assert text.endswith("such as --encoding=utf-16")
    path.write_bytes(b"a" + mark)  # no mark in the middle
    _, text = message(lambda: read(path))
    assert text.endswith("such as --encoding=latin-1")


def test_utf_16_without_its_mark(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a\0b\0")
    kind, text = message(lambda: read(path, "utf-16"))
    assert kind is ValueError
    assert re.search("must be text in utf-16.*BOM.*--encoding", text)


def test_lone_surrogate(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a+2AA-b")
    _, text = message(lambda: read(path, "utf-7"))
    assert "must hold whole characters" in text and "U+D800" in text


@pytest.mark.parametrize(
    "content",
    [
        b"plain text",
        gzip.compress(b"whole text" * 100)[:-12],
        gzip.compress(b"whole text")[:-8] + b"12345678",
        gzip.compress(b"whole text")[:10] + b"\xff\xff\xff\xff",
    ],
    ids=["not gzip", "cut", "wrong checksum", "garbage"],
)
def test_broken_gzip(tmp_path, content):
    path = tmp_path / "text.gz"
    path.write_bytes(content)
    kind, text = message(lambda: read(path))
    assert kind is ValueError
    assert "must be a whole gzip file where its name ends in .gz. Re" in text
    assert str(path) in text


def found(**settings):
    return {
        split: [file.name for file in members]
        for split, members in find(DataConfig(**settings)).items()
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "er" / "est").mkdir(parents=True)
    names = ["b.txt", "a.txt", "c.csv", "[x].txt"]
    for name in [*names, "deep/er/d.txt", "deep/er/est/e.txt"]:
        (tmp_path / name).write_text(name)
    return tmp_path


def test_paths_and_globs_are_found_in_order(folder):
    assert found(train_file=("c.csv", "*.txt"), test_file="deep/**/*") == {
        "train": ["c.csv", "[x].txt", "a.txt", "b.txt"],
        "test": ["deep/er/d.txt", "deep/er/est/e.txt"],
    }
    # A name that exists is no glob.
    assert found(train_file="[x].txt") == {"train": ["[x].txt"]}
    absolute = str(folder / "[ab].txt")
    names = [str(folder / "a.txt"), str(folder / "b.txt")]
    assert found(train_file=absolute) == {"train": names}


def test_home_folder_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    assert found(train_file="~/a.txt") == {"train": [str(folder / "a.txt")]}


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        (
            {"train_file": "a.text"},
            FileNotFoundError,
            "`train_file` must name a file that exists. Received: "
            "train_file=a.text. Did you mean 'a.txt'?",
        ),
        (
            {"train_file": "qqqqqqqq"},
            FileNotFoundError,
            "Nothing in . has a name close to it",
        ),
        (
            {"train_file": "deeper/d.txt"},
            FileNotFoundError,
            "There is no folder deeper",
        ),
        (
            {"train_file": "a.txt", "test_file": "*.json"},
            FileNotFoundError,
            "`test_file` must match a file. Received: test_file=*.json. ",
        ),
        (
            {"train_file": "dee?"},  # matches a folder only
            FileNotFoundError,
            "`train_file` must match a file. Received: train_file=dee?. ",
        ),
        (
            {"train_file": "a.txt", "validation_file": "deep"},
            IsADirectoryError,
            "`validation_file` must name a file, not a folder. Received: "
            f"validation_file=deep. To read its files, write deep{os.sep}*",
        ),
        (
            {"train_file": "a.txt", "encoding": "latin_l"},
            ValueError,
            "`encoding` must be a text encoding that Python knows. Received: "
            "encoding=latin_l. Did you mean 'latin_1'?",
        ),
        (
            {"train_file": "a.txt", "encoding": "zzzzzz"},
            ValueError,
            "Received: encoding=zzzzzz. Such as utf-8",
        ),
        (
            {"train_file": "a.txt", "encoding": "rot13"},  # no text encoding
            ValueError,
            "Received: encoding=rot13. Such as utf-8",
        ),
        (
            {"train_file": ("a.txt", "-"), "test_file": "-"},
            ValueError,
            "may name standard input once. Received: train_file=a.txt,- "
            "validation_file= test_file=-",
        ),
    ],
)
def test_mistakes_in_names(folder, settings, kind, expected):
    caught, text = message(lambda: found(**settings))
    assert caught is kind
    assert expected in text


@pytest.fixture
def temporary(folder, monkeypatch):
    kept = folder / "kept"
    kept.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    return kept


def test_standard_input_can_be_read_twice(temporary, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(MIXED.encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    [file] = find(DataConfig(train_file="-"))["train"]
    assert ["".join(file.chunks()) for _ in range(2)] == [MIXED, MIXED]
    assert (file.name, file.kind) == ("-", "")
    assert list(temporary.iterdir()) == [file.path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_pipe_can_be_read_twice(folder, temporary):
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(
        target=(folder / "pipe").write_bytes, args=(MIXED.encode(),)
    )
    writer.start()
    [file] = find(DataConfig(train_file="pipe"))["train"]
    writer.join()
    assert ["".join(file.chunks()) for _ in range(2)] == [MIXED, MIXED]
