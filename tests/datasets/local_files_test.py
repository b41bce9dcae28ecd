"""Files as sources: order, limits, names, and the check before anything."""

import pytest

from tflm.config import DataConfig
from tflm.datasets.documents import PlainText, Row
from tflm.datasets.local_files import open_sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("plain a", encoding="utf-8")
    (tmp_path / "b.csv").write_text("text\nrow b1\nrow b2\n", encoding="utf-8")
    (tmp_path / "c.json").write_text('["", "row c2"]', encoding="utf-8")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "mark.txt").write_bytes(b"\xef\xbb\xbf")
    (tmp_path / "header.csv").write_text("text\n")
    (tmp_path / "empty.csv").write_text("text\n" + '""\n' * 3)
    (tmp_path / "broken.jsonl").write_text('"good"\n{\n')
    return tmp_path


def read(**settings):
    """Each document's characters, and its text if it is a row."""
    _, sources = open_sources(DataConfig(**settings))
    passes = []
    for _ in range(2):
        found = [
            document.text if isinstance(document, Row) else document.file.name
            for document in sources["train"]()
        ]
        passes.append(found)
    assert passes[0] == passes[1]
    return passes[0]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (None, ["a.txt", "row b1", "row b2", "", "row c2"]),
        (4, ["a.txt", "row b1", "row b2", ""]),
        (2, ["a.txt", "row b1"]),
        (1, ["a.txt"]),
        (9, ["a.txt", "row b1", "row b2", "", "row c2"]),
    ],
)
def test_documents_come_in_order_up_to_the_limit(folder, most, expected):
    if most == 4:  # all that is read of c.json is empty
        with pytest.raises(ValueError, match=r"c\.json\. It has none"):
            read(train_file=("a.txt", "b.csv", "c.json"), max_documents=most)
        return
    names = ("a.txt", "b.csv", "c.json")
    assert read(train_file=names, max_documents=most) == expected


def test_limit_holds_for_each_source(folder):
    config = DataConfig(
        train_file="b.csv", test_file=("a.txt", "b.csv"), max_documents=1
    )
    _, sources = open_sources(config)
    assert list(sources["train"]()) == [Row("row b1")]
    [document] = sources["test"]()
    assert isinstance(document, PlainText) and document.length == 7


def test_long_documents_are_shortened(folder):
    config = DataConfig(
        train_file=("a.txt", "b.csv"), max_document_characters=3
    )
    _, sources = open_sources(config)
    plain, *rows = sources["train"]()
    assert plain.length == 3
    assert rows == [Row("row", ends=False)] * 2


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a.txt", "a.txt"),
        (("b.csv", "a.txt"), "b.csv and 1 more"),
        ("?.*", "a.txt and 2 more"),
    ],
)
def test_name_is_that_of_the_first_file(folder, names, expected):
    assert open_sources(DataConfig(train_file=names))[0] == expected


@pytest.mark.parametrize(
    "name", ["empty.txt", "mark.txt", "header.csv", "empty.csv"]
)
def test_file_without_text(folder, name):
    expected = (
        rf"^`test_file` must hold text\. Received: test_file={name}\. It has "
    )
    with pytest.raises(ValueError, match=expected):
        open_sources(DataConfig(train_file="a.txt", test_file=name))


def test_broken_file_is_met_before_any_document_is_used(folder):
    with pytest.raises(ValueError, match="broken.jsonl. Line 2, column 2"):
        open_sources(DataConfig(train_file=("a.txt", "broken.jsonl")))
    # What lies behind the limit is not read.
    assert read(train_file="broken.jsonl", max_documents=1) == ["good"]
