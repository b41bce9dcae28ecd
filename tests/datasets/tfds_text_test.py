"""TFDS datasets as sources: features, splits, names, silence."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import logging

from tflm.config import DataConfig
from tflm.datasets.documents import Row
from tflm.datasets.tfds_text import open_sources

POEMS = ["to be", "日本語 🦜", "", "e\u0301"]


class ToyPoems(tfds.core.GeneratorBasedBuilder):
    """Two features of text, two splits."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name) for name in ("short", "long")
    ]

    def _info(self):
        features = {
            "text": np.str_,
            "title": tfds.features.Text(),
            "year": np.int32,
        }
        # Not one value each: neither a text nor the mark of a piece.
        features["lines"] = tfds.features.Sequence(np.str_)
        features["starts"] = tfds.features.Sequence(np.bool_)
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._examples(POEMS), "test": self._examples("xyz")}

    def _generate_examples(self):
        raise NotImplementedError

    def _examples(self, texts):
        for number, text in enumerate(texts):
            example = {"text": text, "title": f"title {number}", "year": 1}
            yield number, example | {"lines": ["a"], "starts": [False] * 2}


class ToyMarks(tfds.core.GeneratorBasedBuilder):
    """Texts that are cut already."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"prose": np.str_, "starts": np.bool_, "ends": np.bool_}
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        logging.warning("What TFDS says while it prepares")
        yield 0, {"prose": "one", "starts": True, "ends": False}
        yield 1, {"prose": "two", "starts": False, "ends": True}


class ToyNumbers(tfds.core.GeneratorBasedBuilder):
    """No text, no training split."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"one": np.str_, "two": np.str_, "three": np.int32}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"one": "1", "two": "2", "three": 3}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


def rows(data_dir, split="train", **settings):
    _, sources = open_sources(DataConfig(data_dir=data_dir, **settings))
    found = list(sources[split]())
    assert list(sources[split]()) == found
    return found


def test_text_is_taken_from_the_feature_named_text(data_dir):
    assert rows(data_dir, dataset="toy_poems") == [Row(text) for text in POEMS]
    assert rows(data_dir, "test", dataset="toy_poems") == list(map(Row, "xyz"))


def test_text_feature_chooses(data_dir):
    found = rows(data_dir, dataset="toy_poems", text_feature="title")
    assert found == [Row(f"title {n}") for n in range(4)]


def test_only_text_feature_is_taken_and_marks_are_kept(data_dir):
    assert rows(data_dir, dataset="toy_marks") == [
        Row("one", starts=True, ends=False),
        Row("two", starts=False, ends=True),
    ]


def test_limits(data_dir):
    found = rows(
        data_dir,
        dataset="toy_poems",
        max_documents=2,
        max_document_characters=4,
    )
    assert found == [Row("to b", ends=False), Row("日本語 ", ends=False)]


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("toy_poems", "toy_poems/short"),
        ("toy_poems/long", "toy_poems/long"),
        ("toy_poems:1.0.0", "toy_poems/short"),
        ("toy_marks", "toy_marks"),
    ],
)
def test_name_says_the_configuration(data_dir, dataset, name):
    config = DataConfig(dataset=dataset, data_dir=data_dir)
    found, sources = open_sources(config)
    assert found == name
    splits = ["train", "test"] if "poems" in name else ["train"]
    assert list(sources) == splits


def test_prepared_dataset_is_not_prepared_again(data_dir, monkeypatch):
    rows(data_dir, dataset="toy_poems")
    monkeypatch.setattr(ToyPoems, "_examples", None)
    assert len(rows(data_dir, dataset="toy_poems")) == 4


@pytest.mark.parametrize(
    ("dataset", "feature"),
    [
        ("tiny_shakespeare", None),
        ("lm1b", None),
        ("imdb_reviews/plain_text", None),
        ("wiki40b/en", "wikidata_id"),
        ("wikitext-103", "title"),
    ],
)
def test_datasets_of_tfds_have_such_texts(dataset, feature):
    with tfds.testing.mock_data(num_examples=3):
        config = DataConfig(dataset=dataset, text_feature=feature)
        name, sources = open_sources(config)
        found = list(sources["train"]())
        mocked = tfds.builder(name).as_dataset(split="train")
        texts = [e[feature or "text"].decode() for e in tfds.as_numpy(mocked)]
    assert name.split("/")[0] == dataset.split("/")[0].split("-")[0]
    assert found == [Row(text) for text in texts]
    assert len(set(texts)) > 1


def test_mocked_dataset_has_the_splits_that_its_files_say(data_dir):
    open_sources(DataConfig(dataset="toy_poems", data_dir=data_dir))
    with tfds.testing.mock_data(num_examples=3, data_dir=data_dir):
        _, sources = open_sources(DataConfig(dataset="toy_poems"))
        assert {split: len(list(sources[split]())) for split in sources} == {
            "train": 3,
            "test": 3,
        }


def test_preparing_says_nothing(tmp_path, capfd, caplog):
    open_sources(DataConfig(dataset="toy_marks", data_dir=str(tmp_path)))
    sys.stdout.flush()
    assert capfd.readouterr() == ("", "")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"dataset": "pyton_docs"},
            "`dataset` must be python_docs, wikitext-2, wikitext-2-raw, "
            "wikitext-103, wikitext-103-raw or another name that "
            "tfds.list_builders() gives. Received: dataset=pyton_docs. "
            "Did you mean 'python_docs'?",
        ),
        (
            {"dataset": "tiny_shakespear"},
            "Received: dataset=tiny_shakespear. Did you mean "
            "'tiny_shakespeare'?",
        ),
        (
            {"dataset": "wikitxt-103-raw"},
            "Received: dataset=wikitxt-103-raw. Did you mean "
            "'wikitext-103-raw'?",
        ),
        ({"dataset": "q q"}, "Received: dataset=q q"),
        (
            {"dataset": "toy_poems/shirt"},
            "unknown configuration of toy_poems 'shirt': did you mean "
            "'short'? Valid: short, long",
        ),
        (
            {"dataset": "toy_poems", "text_feature": "titel"},
            "unknown text_feature 'titel': did you mean 'title'? "
            "Valid: text, title",
        ),
        (
            {"dataset": "toy_poems", "text_feature": "year"},
            "unknown text_feature 'year'. Valid: text, title",
        ),
        (
            {"dataset": "toy_numbers"},
            "`text_feature` must name one of toy_numbers's string features. "
            "Received: text_feature=None. Choose: one, two",
        ),
        (
            {"dataset": "toy_numbers", "text_feature": "one"},
            "`dataset` must have a train split. Received: "
            "dataset=toy_numbers. Its splits: test",
        ),
    ],
)
def test_mistakes(data_dir, settings, expected):
    with pytest.raises(ValueError) as caught:
        open_sources(DataConfig(data_dir=data_dir, **settings))
    assert str(caught.value) == expected or (
        expected in str(caught.value) and expected.startswith("Received")
    )
    assert "\n" not in str(caught.value)
