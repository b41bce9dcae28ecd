import json
import os
import threading

import pytest

from tflm import writing


@pytest.fixture
def narrow_umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_text_is_written_byte_for_byte(tmp_path):
    text = "one\r\ntwo\n\r日本\0"
    writing.write_text(tmp_path / "file", text)
    assert (tmp_path / "file").read_bytes() == text.encode()


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    writing.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        writing.write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_reader_sees_the_old_or_the_new_text(tmp_path):
    path = tmp_path / "file"
    versions = {letter * 100_000 for letter in "ab"}
    writing.write_text(path, min(versions))
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for text in versions:
            writing.write_text(path, text)
    done.set()
    reader.join()
    assert seen and seen <= versions


@pytest.mark.usefixtures("narrow_umask")
def test_files_and_folders_get_the_permissions_of_the_user(tmp_path):
    writing.write_text(tmp_path / "file", "")
    with writing.new_directory(tmp_path / "folder"):
        pass
    assert mode(tmp_path / "file") == 0o640
    assert mode(tmp_path / "folder") == 0o750


def test_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "file.keras"
    path.write_text("old")
    with writing.new_file(path) as beside:
        assert (beside.parent, beside.suffix) == (tmp_path, ".keras")
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt), writing.new_file(path) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_readable_and_survives(tmp_path):
    value = {"name": "日本", "sizes": [1, 2.5, None]}
    writing.write_json(tmp_path / "file", value)
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert '"name": "日本",\n' in text and text.endswith("}\n")


def test_folder_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "parent" / "folder"
    with writing.new_directory(path) as beside:
        (beside / "file").write_text("content")
        assert not path.exists()
    assert (path / "file").read_text() == "content"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_folder_that_is_not_finished_is_removed(tmp_path, error):
    with (
        pytest.raises(error),
        writing.new_directory(tmp_path / "folder") as beside,
    ):
        (beside / "file").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_folder_that_stands_there_is_not_written_over(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "file").write_text("old")
    with (
        pytest.raises(OSError, match="not empty"),
        writing.new_directory(path) as beside,
    ):
        (beside / "file").write_text("new")
    assert (path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_with_none_for_what_is_not_finite_is_strict(tmp_path):
    nan, inf = float("nan"), float("inf")
    value = {"a": [nan, 1.5, {"b": (-inf, "inf")}], "c": inf, "d": 2}
    writing.write_json(tmp_path / "file.json", writing.finite(value))

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "file.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    assert found == {"a": [None, 1.5, {"b": [None, "inf"]}], "c": None, "d": 2}
