"""`python_docs` against a reading of its own of the running Python's text."""

import hashlib
import platform
import tempfile
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import tensorflow_datasets as tfds

from tflm.datasets.python_docs import python_docs_dataset_builder

SPLITS = ("train", "validation", "test")


def paragraphs_line_by_line():
    """The paragraphs and their topics, found without regular expressions."""
    found = {}
    for topic, text in sorted(topics.items()):
        lines = []
        for line in [*text.split("\n"), ""]:
            if line.strip():
                lines.append(line.rstrip())
            elif lines:
                key = tuple(word for line in lines for word in line.split())
                found.setdefault(key, ("\n".join(lines), topic))
                lines = []
    return list(found.values())


def joined(examples):
    return "\n\n".join(example["text"].decode() for example in examples)


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    builder = tfds.builder(
        "python_docs", data_dir=tmp_path_factory.mktemp("tfds")
    )
    tfds.disable_progress_bar()
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def examples(builder):
    return {
        split: list(tfds.as_numpy(builder.as_dataset(split=split)))
        for split in SPLITS
    }


def test_splits_hold_every_paragraph_once_and_in_order(examples):
    text = "\n\n".join(joined(examples[split]) for split in SPLITS)
    paragraphs = [paragraph for paragraph, _ in paragraphs_line_by_line()]
    assert text.split("\n\n") == paragraphs
    # What CPython carries is about this long in every version so far.
    assert 300_000 < len(text) < 600_000


def test_splits_have_their_shares_of_the_characters(examples):
    lengths = [len(joined(examples[split])) for split in SPLITS]
    longest = max(len(paragraph) for paragraph, _ in paragraphs_line_by_line())
    total = sum(lengths)
    assert abs(lengths[0] - 0.90 * total) <= longest
    assert abs(lengths[0] + lengths[1] - 0.95 * total) <= longest


def test_no_long_paragraph_stands_in_two_splits(examples):
    long = {
        split: {
            " ".join(paragraph.split())
            for paragraph in joined(examples[split]).split("\n\n")
            if len(" ".join(paragraph.split())) > 60
        }
        for split in SPLITS
    }
    assert all(len(found) > 20 for found in long.values())
    assert not long["train"] & (long["validation"] | long["test"])
    assert not long["validation"] & long["test"]


def test_an_example_is_a_topic_that_ends_where_the_topic_ends(examples):
    by_topic = {}
    for paragraph, topic in paragraphs_line_by_line():
        by_topic.setdefault(topic, []).append(paragraph)
    left = {topic: "\n\n".join(found) for topic, found in by_topic.items()}
    for example in (e for split in SPLITS for e in examples[split]):
        topic, text = example["topic"].decode(), example["text"].decode()
        assert example["starts"]
        assert left[topic].startswith(text)
        left[topic] = left[topic].removeprefix(text).removeprefix("\n\n")
        assert example["ends"] == (not left[topic])
    assert not any(left.values())
    cut = [not example["ends"] for s in SPLITS for example in examples[s]]
    assert sum(cut) <= 2


def test_configuration_is_named_by_the_hash_of_the_text(builder):
    text = "\n\n".join(text for text, _ in paragraphs_line_by_line())
    name = hashlib.sha256(text.encode()).hexdigest()[:10]
    assert builder.info.full_name == f"python_docs/{name}/1.0.0"


def test_description_and_citation_name_version_and_licence(builder):
    licence = "Python Software Foundation License Version 2"
    for text in (builder.info.description, builder.info.citation):
        assert platform.python_version() in text
        assert licence in text
    assert "{VERSION}" not in builder.info.citation


class BuilderTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks of a builder."""

    DATASET_CLASS = python_docs_dataset_builder.Builder
    # Nothing is downloaded; any folder will do.
    EXAMPLE_DIR = Path(__file__).parent

    @pytest.fixture(autouse=True)
    def write_below(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.SPLITS = _examples_by_split()


def _examples_by_split():
    """The number of runs of one topic in each share of the characters."""
    paragraphs = paragraphs_line_by_line()
    total = sum(len(text) for text, _ in paragraphs)
    before, members = 0, {split: set() for split in SPLITS}
    for text, topic in paragraphs:
        share = before / total
        members[SPLITS[(share >= 0.9) + (share >= 0.95)]].add(topic)
        before += len(text)
    return {split: len(found) for split, found in members.items()}
