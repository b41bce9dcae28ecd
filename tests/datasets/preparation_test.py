"""Names of datasets, the places where they are, and what can go wrong."""

import hashlib
import os
import re
import socket
import time
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from tflm import datasets
from tflm.config import DataConfig
from tflm.datasets import preparation
from tflm.datasets.wikitext import mirrors

TEXT = " = A = \n \n Some words . \n \n = B = \n \n Others . \n"
FILES = [f"wikitext-2/wiki.{split}.tokens" for split in ("train", "valid")]
WAYS_OUT = (
    ". If it can be prepared elsewhere, give its folder with --data_dir; else "
    "give --train_file a text of your own"
)


class ToyDownload(tfds.core.GeneratorBasedBuilder):
    """Downloads its one example."""

    VERSION = tfds.core.Version("1.1.0")
    SUPPORTED_VERSIONS = [tfds.core.Version("1.0.0")]
    url = ""

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"text": np.str_}),
        )

    def _split_generators(self, dl_manager):
        path = dl_manager.download(self.url)
        return {"train": self._generate_examples(path)}

    def _generate_examples(self, path):
        yield 0, {"text": path.read_text()}


class ToyManual(ToyDownload):
    """Has to be downloaded by hand."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask the author
    for a.txt.
    """

    def _split_generators(self, dl_manager):
        path = dl_manager.manual_dir / "a.txt"
        return {"train": self._generate_examples(path)}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(mirrors, "answers", lambda url: False)


def write_archive(folder, text=TEXT):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "wikitext-2-v1.zip", "w") as archive:
        for name in [*FILES, "wikitext-2/wiki.test.tokens"]:
            archive.writestr(name, text)


def load(dataset, folder, **settings):
    """Each split as the list of its documents."""
    config = DataConfig(dataset=dataset, data_dir=str(folder), **settings)
    data = datasets.load(config)
    return {
        split: [e["text"].decode() for e in pieces.as_numpy_iterator()]
        for split, pieces in data.splits.items()
    }


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_articles_of_an_archive_are_documents(tmp_path):
    write_archive(tmp_path)
    articles = [TEXT[: TEXT.index(" = B")], TEXT[TEXT.index(" = B") :]]
    found = load("wikitext-2", tmp_path)
    assert found == dict.fromkeys(("train", "validation", "test"), articles)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("wikitext-2", "wikitext/2/1.0.0"),
        ("wikitext-2:1.0.0", "wikitext/2/1.0.0"),
        ("wikitext/2", "wikitext/2/1.0.0"),
        ("wikitext", "wikitext/2/1.0.0"),
        ("wikitext-103-raw", "wikitext/103-raw/1.0.0"),
        ("tiny_shakespeare", "tiny_shakespeare/1.0.0"),
    ],
)
def test_names(dataset, name, tmp_path):
    config = DataConfig(dataset=dataset, data_dir=str(tmp_path))
    assert preparation.open_builder(config).info.full_name == name


def test_prepared_dataset_goes_before_the_archive_before_the_folder(tmp_path):
    (tmp_path / "wikitext-2").mkdir()
    for name in [*FILES, "wikitext-2/wiki.test.tokens"]:
        (tmp_path / name).write_text("folder")
    write_archive(tmp_path, "archive")
    assert load("wikitext-2", tmp_path)["train"] == ["archive"]
    write_archive(tmp_path, "another")
    assert load("wikitext-2", tmp_path)["train"] == ["archive"]
    (tmp_path / "wikitext-2-v1.zip").unlink()
    assert load("wikitext-2", tmp_path)["train"] == ["archive"]
    # Without the prepared dataset, the folder's turn comes.
    (tmp_path / "wikitext").rename(tmp_path / "aside")
    assert load("wikitext-2", tmp_path)["train"] == ["folder"]


class TestFolderThatCannotBeWrittenTo:
    @pytest.fixture(autouse=True)
    def read_only(self, monkeypatch):
        # Permissions do not hold for a superuser.
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)

    def test_archive_is_prepared_in_the_cache(self, tmp_path):
        data, cache = tmp_path / "data", tmp_path / "cache"
        write_archive(data, "one")
        before = contents(data)
        for _ in range(2):
            found = load("wikitext-2", data, cache_dir=str(cache))
            assert found["train"] == ["one"]
        assert contents(data) == before
        assert not (data / "downloads").exists()
        # Another text in the same place is another dataset.
        write_archive(data, "two")
        found = load("wikitext-2", data, cache_dir=str(cache))
        assert found["train"] == ["two"]
        archive = (data / "wikitext-2-v1.zip").read_bytes()
        once = hashlib.sha256(archive).digest()
        name = hashlib.sha256(once).hexdigest()[:20]
        assert (cache / "tfds" / name / "wikitext" / "2" / "1.0.0").is_dir()

    def test_prepared_dataset_is_read_where_it_is(self, tmp_path, monkeypatch):
        data = tmp_path / "data"
        write_archive(data)
        tfds.builder("wikitext/2", data_dir=data).download_and_prepare()
        before = contents(data)
        cache = tmp_path / "cache"
        found = load("wikitext-2", data, cache_dir=str(cache))
        assert "".join(found["train"]) == TEXT
        assert contents(data) == before
        assert not (cache / "tfds").exists()


def test_file_is_no_folder(tmp_path):
    write_archive(tmp_path)
    archive = tmp_path / "wikitext-2-v1.zip"
    with pytest.raises(ValueError, match="`data_dir` must be a folder. .*zip"):
        load("wikitext-2", archive)


def test_dataset_prepared_elsewhere_needs_no_builder_and_no_network(tmp_path):
    features = tfds.features.FeaturesDict({"text": np.str_})
    tfds.dataset_builders.store_as_tfds_dataset(
        name="foreign",
        version="1.0.0",
        features=features,
        split_datasets={
            "train": [(0, {"text": "a"})],
            "test": [(0, {"text": "b"})],
        },
        data_dir=tmp_path,
        disable_shuffling=True,
    )
    found = load("foreign", tmp_path, validation_fraction=0)
    assert found == {"train": ["a"], "test": ["b"]}


def test_folder_of_a_prepared_version_is_read_whatever_its_name(tmp_path):
    (tmp_path / "a.txt").write_text("prepared by another program")
    builder = ToyManual(data_dir=tmp_path / "elsewhere")
    settings = tfds.download.DownloadConfig(manual_dir=tmp_path)
    builder.download_and_prepare(download_config=settings)
    moved = (tmp_path / "elsewhere/toy_manual/1.0.0").rename(
        tmp_path / "corpus"
    )
    data = datasets.load(
        DataConfig(data_dir=str(moved), validation_fraction=0, test_fraction=0)
    )
    [piece] = data.splits["train"].as_numpy_iterator()
    assert piece["text"] == b"prepared by another program"


def test_older_version_is_read_but_not_prepared(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setattr(ToyDownload, "url", (tmp_path / "a.txt").as_uri())
    whole = {"validation_fraction": 0, "test_fraction": 0}
    with pytest.raises(ValueError, match="too old for this version") as caught:
        load("toy_download:1.0.0", tmp_path, **whole)
    assert "\n" not in str(caught.value)
    old = [tfds.core.Version("1.0.0")]
    with monkeypatch.context() as patch:
        patch.setattr(ToyDownload, "VERSION", old[0])
        load("toy_download", tmp_path, **whole)
    assert load("toy_download:1.0.0", tmp_path, **whole) == {"train": ["text"]}
    with pytest.raises(ValueError) as caught:
        load("toy_download:7.0.0", tmp_path)
    assert str(caught.value) == (
        "`dataset` must name a version that there is. Received: "
        "dataset=toy_download:7.0.0. Valid: 1.1.0, 1.0.0"
    )


def test_host_that_refuses_costs_little_time(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}/a.txt"
    monkeypatch.setattr(ToyDownload, "url", url)
    retries = downloader.MAX_RETRIES
    start = time.monotonic()
    with pytest.raises(ValueError) as caught:
        load("toy_download", tmp_path)
    assert time.monotonic() - start < 3
    assert downloader.MAX_RETRIES == retries > 1
    assert str(caught.value) == (
        "`dataset` must be one that TFDS can prepare. Received: "
        "dataset=toy_download. 127.0.0.1 could not be reached" + WAYS_OUT
    )


def test_manual_download_is_explained_in_one_line(tmp_path):
    with pytest.raises(ValueError) as caught:
        load("toy_manual", tmp_path)
    manual = tmp_path / "downloads" / "manual"
    assert str(caught.value) == (
        "`dataset` must be one that TFDS can prepare. Received: "
        f"dataset=toy_manual. Manual directory {manual} does not exist or is "
        "empty. Create it and download/extract dataset artifacts in there "
        "using instructions: Ask the author for a.txt" + WAYS_OUT
    )
    manual.mkdir(parents=True)
    (manual / "a.txt").write_text("text")
    whole = {"validation_fraction": 0, "test_fraction": 0}
    assert load("toy_manual", tmp_path, **whole) == {"train": ["text"]}


def test_long_errors_are_cut(tmp_path, monkeypatch):
    def fail(*unused):
        raise RuntimeError("a\nb " * 1000)

    monkeypatch.setattr(ToyDownload, "_split_generators", fail)
    with pytest.raises(ValueError) as caught:
        load("toy_download", tmp_path)
    said = re.escape("dataset=toy_download. RuntimeError: a b a b ")
    assert re.search(said, str(caught.value))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert isinstance(caught.value.__cause__, RuntimeError)
