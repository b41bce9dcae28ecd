"""`wikitext` through TFDS, from small archives in the published form."""

import hashlib
import tempfile
import tracemalloc

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from tflm.datasets.wikitext import mirrors, wikitext_dataset_builder
from tflm.datasets.wikitext.wikitext_dataset_builder import NAMES, Builder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Only files are in reach."""
    answers = mirrors.answers
    monkeypatch.setattr(
        mirrors,
        "answers",
        lambda url: url.startswith("file:") and answers(url),
    )
    tfds.disable_progress_bar()


def prepared(data_dir, name="wikitext-2", **settings):
    """The examples of each split."""
    builder = tfds.builder(NAMES[name], data_dir=data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(**settings)
    )
    return {
        split: list(tfds.as_numpy(builder.as_dataset(split=split)))
        for split in builder.info.splits
    }


def joined(examples):
    return {
        split: b"".join(example["text"] for example in found)
        for split, found in examples.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_the_articles_of_the_archive(
    name, tmp_path, files, titles, members, write_archive
):
    write_archive(tmp_path / f"{name}-v1.zip", members(name))
    examples = prepared(tmp_path, name)
    assert joined(examples) == files
    for split, found in examples.items():
        assert [e["title"].decode() for e in found] == titles[split]


def test_extracted_folder_will_do(tmp_path, files, write_folder):
    write_folder(tmp_path)
    assert joined(prepared(tmp_path)) == files


def test_directory_of_manual_downloads_will_do(tmp_path, files, write_archive):
    manual = tmp_path / "manual"
    manual.mkdir()
    write_archive(manual / "wikitext-2-v1.zip")
    found = prepared(tmp_path / "elsewhere", manual_dir=manual)
    assert joined(found) == files
    # TFDS's own place for it.
    write_archive_to = tmp_path / "own" / "downloads" / "manual"
    write_archive_to.mkdir(parents=True)
    write_archive(write_archive_to / "wikitext-2-v1.zip")
    assert joined(prepared(tmp_path / "own")) == files


def test_archive_is_downloaded_where_there_is_none(
    tmp_path, files, write_archive, monkeypatch
):
    archive = write_archive(tmp_path / "mirror.zip")
    url = archive.as_uri()
    content = archive.read_bytes()
    info = tfds.download.checksums.UrlInfo(
        len(content), hashlib.sha256(content).hexdigest(), None
    )
    monkeypatch.setitem(mirrors.MIRRORS, "wikitext-2", (url,))
    monkeypatch.setattr(Builder, "url_infos", {url: info})
    assert joined(prepared(tmp_path / "data")) == files
    archive.unlink()
    assert joined(prepared(tmp_path / "data")) == files
    info.checksum = "0" * 64
    write_archive(archive)
    with pytest.raises(ValueError, match="gives has a wrong checksum"):
        prepared(tmp_path / "other")


@pytest.mark.parametrize("buffer_bytes", [2**16, 2**40])
def test_long_files_keep_their_order(
    buffer_bytes, tmp_path, members, write_archive, monkeypatch
):
    # Over 2**36 / 1000 bytes, so that TFDS parts them in more than one.
    text = "".join(
        f" = {number} = \n \n {'words ' * 20_000}\n \n" for number in range(700)
    )
    assert len(text) > 2**36 / 1000
    found = members(files={"train": text, "validation": "v", "test": "t"})
    write_archive(tmp_path / "wikitext-2-v1.zip", found)
    monkeypatch.setattr(wikitext_dataset_builder, "BUFFER_BYTES", buffer_bytes)
    bound = shuffle.MAX_MEM_BUFFER_SIZE
    examples = prepared(tmp_path)
    assert bound == shuffle.MAX_MEM_BUFFER_SIZE
    assert joined(examples)["train"] == text.encode()
    assert [int(e["title"]) for e in examples["train"]] == list(range(700))


def test_memory_does_not_grow_with_the_file(
    tmp_path, members, write_archive, monkeypatch
):
    monkeypatch.setattr(wikitext_dataset_builder, "BUFFER_BYTES", 2**20)
    # Parts of 16 KiB, as 2**26 is to these files what 2**36 is to the real.
    monkeypatch.setattr(wikitext_dataset_builder, "_KEY_SHIFT", 128 - 26)
    article = f" = A = \n \n {'words ' * 2000}\n \n"
    peaks = []
    for count in (500, 1500):
        place = tmp_path / str(count)
        place.mkdir()
        texts = {"train": article * count, "validation": "v", "test": "t"}
        write_archive(place / "wikitext-2-v1.zip", members(files=texts))
        builder = tfds.builder("wikitext/2", data_dir=place)
        tracemalloc.start()
        builder.download_and_prepare()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert len(article) * 500 > 5 * 2**20
    assert max(peaks) < 4 * 2**20


def test_offline_message(tmp_path):
    with pytest.raises(ValueError) as caught:
        prepared(tmp_path, "wikitext-103-raw")
    assert str(caught.value) == (
        "`dataset` must be in reach. Received: dataset=wikitext-103-raw, but "
        "wikitext.smerity.com does not answer, huggingface.co does not "
        "answer. Without a network, give --data_dir a folder that holds "
        "wikitext-103-raw-v1.zip or wikitext-103-raw/wiki.*.raw, or give "
        "--train_file a text of your own"
    )


def test_half_an_archive_prepares_nothing(tmp_path, members, write_archive):
    found = members()
    del found["wikitext-2/wiki.valid.tokens"]
    write_archive(tmp_path / "wikitext-2-v1.zip", found)
    for _ in range(2):
        with pytest.raises(ValueError, match="lacks .*wiki.valid.tokens"):
            prepared(tmp_path)
    write_archive(tmp_path / "wikitext-2-v1.zip")
    assert len(prepared(tmp_path)) == 3


def test_description_citation_and_licence():
    info = tfds.builder("wikitext/2").info
    assert "Merity" in info.description and "Merity" in info.citation
    assert "CC BY-SA" in info.description
    assert info.as_proto.redistribution_info.license == "CC BY-SA"


class BuilderTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks of a builder."""

    DATASET_CLASS = Builder
    SPLITS = {"train": 3, "validation": 2, "test": 1}
    # Not the name of an archive that the builder would find by itself.
    DL_DOWNLOAD_RESULT = "downloaded"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def write_example(cls, tmp_path_factory, members, write_archive):
        cls.EXAMPLE_DIR = tmp_path_factory.mktemp("example")
        every = {k: v for name in NAMES for k, v in members(name).items()}
        write_archive(cls.EXAMPLE_DIR / cls.DL_DOWNLOAD_RESULT, every)

    @pytest.fixture(autouse=True)
    def write_below(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(mirrors, "answers", lambda url: True)
