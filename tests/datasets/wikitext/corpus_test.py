"""Archives and folders, whole and damaged."""

import hashlib
import re
import zipfile

import pytest

from tflm.datasets.wikitext.corpus import SPLITS, Corpus, find

NAMES = ["wikitext-2", "wikitext-2-raw", "wikitext-103", "wikitext-103-raw"]


def content(corpus):
    corpus.check()
    return {split: b"".join(corpus.lines(split)) for split in SPLITS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["archive", "folder", "folder itself"])
def test_files_are_read_as_they_stand(
    name, form, tmp_path, files, members, write_archive, write_folder
):
    if form == "archive":
        write_archive(tmp_path / f"{name}-v1.zip", members(name))
    else:
        write_folder(tmp_path, members(name))
    place = tmp_path / name if form == "folder itself" else tmp_path
    assert content(find(place, name)) == files
    for other in set(NAMES) - {name}:
        assert find(place, other) is None


def test_lines_end_at_newlines_only(tmp_path, files, write_archive):
    corpus = Corpus("wikitext-2", write_archive(tmp_path / "a.zip"))
    for split, text in files.items():
        lines = [line + b"\n" for line in text.split(b"\n")]
        lines[-1] = lines[-1][:-1]
        assert list(corpus.lines(split)) == list(filter(None, lines))


def test_archive_goes_before_the_folder(
    tmp_path, members, write_archive, write_folder
):
    write_folder(tmp_path)
    other = members(files=dict.fromkeys(SPLITS, "other"))
    write_archive(tmp_path / "wikitext-2-v1.zip", other)
    found = content(find(tmp_path, "wikitext-2"))
    assert set(found.values()) == {b"other"}


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert find(tmp_path, "wikitext-2") is None
    assert find(tmp_path / "missing", "wikitext-2") is None
    (tmp_path / "wikitext-2").mkdir()
    assert find(tmp_path, "wikitext-2") is None


def test_digest_names_the_content(tmp_path, files, write_archive, write_folder):
    archive = write_archive(tmp_path / "wikitext-2-v1.zip")
    write_folder(tmp_path)
    whole = hashlib.sha256(hashlib.sha256(archive.read_bytes()).digest())
    found = Corpus("wikitext-2", archive).digest()
    assert found == whole.hexdigest()[:20]
    parts = [hashlib.sha256(files[split]).digest() for split in SPLITS]
    folder = Corpus("wikitext-2", tmp_path / "wikitext-2").digest()
    assert folder == hashlib.sha256(b"".join(parts)).hexdigest()[:20]


def wrong(tmp_path, members, write_archive):
    """Wrong archives and what is said of them."""

    def archive(changes):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zip"
        found = members() | changes
        kept = {name: text for name, text in found.items() if text is not None}
        return write_archive(path, kept)

    whole = archive({}).read_bytes()
    truncated = tmp_path / "truncated.zip"
    truncated.write_bytes(whole[:-100])
    yield truncated, "it is damaged (File is not a zip file)"
    flipped = tmp_path / "flipped.zip"
    at = whole.index(b"wiki.train.tokens") + 30
    flipped.write_bytes(whole[:at] + b"\x55\xaa" + whole[at + 2 :])
    yield flipped, "it is damaged ("
    garbled = tmp_path / "garbled.zip"
    at = whole.index(b"wiki.train.tokens") + len("wiki.train.tokens")
    garbled.write_bytes(whole[:at] + b"\x07" + whole[at + 1 :])
    yield garbled, "it is damaged (Error -3 while decompressing data"
    encrypted = tmp_path / "encrypted.zip"
    at = whole.rindex(b"PK\x01\x02")
    encrypted.write_bytes(whole[: at + 8] + b"\x01" + whole[at + 9 :])
    yield encrypted, "it cannot be read ("
    for name in members():
        yield archive({name: None}), f"it lacks {name}"
        yield archive({name: ""}), f"{name} is empty"
    for member in ("../x", "/x", "a/../../x", "..\\x", "C:\\x", "\\\\h\\s\\x"):
        said = f"its member {member!r} leads outside of it"
        yield archive({member: "x"}), said


def test_what_is_wrong_is_said_in_one_line(tmp_path, members, write_archive):
    checked = 0
    for path, said in wrong(tmp_path, members, write_archive):
        expected = (
            "`data_dir` must hold the whole of wikitext-2. Received: "
            f"{path}, but {said}"
        )
        with pytest.raises(ValueError, match=re.escape(expected)) as caught:
            content(Corpus("wikitext-2", path))
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(". Download wikitext-2-v1.zip again")
        checked += 1
    assert checked == 16


def test_folder_lacks_a_file(tmp_path, members, write_folder):
    *_, last = members()
    write_folder(tmp_path, {last: "text"})
    with pytest.raises(ValueError, match="lacks wikitext-2/wiki.train.tokens"):
        find(tmp_path, "wikitext-2").check()


def test_member_that_leads_outside_is_not_written(tmp_path, write_archive):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = write_archive(inside / "wikitext-2-v1.zip", {"../../x": "x"})
    assert zipfile.ZipFile(path).namelist()[-1] == "../../x"
    with pytest.raises(ValueError, match="leads outside"):
        content(find(inside, "wikitext-2"))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
