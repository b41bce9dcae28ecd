"""The documentation that the running Python carries, as a TFDS dataset."""

import hashlib
import itertools
import platform
import re
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import tensorflow_datasets as tfds


def paragraphs() -> list[tuple[str, str]]:
    """The text, each paragraph once.

    Topics come in alphabetical order, their paragraphs as they stand, without
    the white space at the ends of lines. A paragraph goes to the first topic
    that has it, however its white space runs there.

    Returns:
        Pairs of topic and paragraph.

    Example:
    >>> topic, paragraph = paragraphs()[0]
    >>> topic, paragraph.splitlines()[0]
    ('assert', 'The "assert" statement')
    """
    seen = set()
    kept = []
    for topic in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[topic]):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                lines = paragraph.strip("\n").splitlines()
                kept.append((topic, "\n".join(map(str.rstrip, lines))))
    return kept


def text_hash() -> str:
    """Ten hexadecimal digits that name the text of the running Python."""
    text = "\n\n".join(paragraph for _, paragraph in paragraphs())
    return hashlib.sha256(text.encode()).hexdigest()[:10]


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder for `python_docs`: an example is a topic."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name=text_hash(),
            description=(
                f"The text of Python {platform.python_version()}, under the "
                "Python Software Foundation License Version 2."
            ),
        )
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        metadata = self.get_metadata()
        version = platform.python_version()
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{metadata.description}\n"
            f"{self.builder_config.description}",
            citation=metadata.citation.replace("{VERSION}", f"{{{version}}}"),
            homepage="https://docs.python.org/3/reference/",
            license="PSF-2.0",
            features=tfds.features.FeaturesDict(
                {
                    "topic": tfds.features.Text(),
                    "text": tfds.features.Text(),
                    "starts": np.bool_,
                    "ends": np.bool_,
                }
            ),
            # A split's examples keep the order of the topics.
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing is downloaded.
        splits = ("train", "validation", "test")
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(
        self, split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        kept = paragraphs()
        last = {topic: number for number, (topic, _) in enumerate(kept)}
        numbers = [
            number
            for number, place in enumerate(_splits(kept))
            if place == split
        ]
        by_topic = itertools.groupby(numbers, lambda number: kept[number][0])
        for key, (topic, members) in enumerate(by_topic):
            *_, final = run = list(members)
            yield (
                key,
                {
                    "topic": topic,
                    "text": "\n\n".join(kept[number][1] for number in run),
                    "starts": True,
                    "ends": final == last[topic],
                },
            )


def _splits(kept: list[tuple[str, str]]) -> Iterator[str]:
    """Each paragraph's split: 90, 5 and 5 percent of the characters."""
    total = sum(len(paragraph) for _, paragraph in kept)
    before = 0
    for _, paragraph in kept:
        if before * 100 < total * 90:
            yield "train"
        elif before * 100 < total * 95:
            yield "validation"
        else:
            yield "test"
        before += len(paragraph)
