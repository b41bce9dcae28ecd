"""WikiText-2 and WikiText-103, tokenised and raw, as a TFDS dataset."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from tflm.datasets.wikitext import mirrors
from tflm.datasets.wikitext.articles import articles
from tflm.datasets.wikitext.corpus import SPLITS, Corpus, find

# What `--dataset` calls them, and what TFDS does.
NAMES = {name: name.replace("-", "/", 1) for name in mirrors.MIRRORS}

# The most bytes of examples that wait in memory for being written.
BUFFER_BYTES = 64 * 2**20

# Keys have 128 bits, and an article's key is its place in a file of less than
# 2**36 bytes (64 GiB): moved to the top, because TFDS parts by the top bits
# what it cannot hold in memory.
_KEY_SHIFT = 128 - 36


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder for `wikitext`: an example is an article.

    The archive or the extracted folder is taken from TFDS's `data_dir` or its
    directory of manual downloads; where neither has it, it is downloaded.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name=name.removeprefix("wikitext-"),
            description=(
                f"{name}, as it was written."
                if name.endswith("-raw")
                else f"{name}, tokenised, rare words replaced by <unk>."
            ),
        )
        for name in NAMES
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Without a network, put the archive (such as wikitext-2-v1.zip) or "
        "the folder extracted from it (such as wikitext-2) there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "title": tfds.features.Text(),
                    "text": tfds.features.Text(),
                }
            ),
            homepage="https://arxiv.org/abs/1609.07843",
            license="CC BY-SA",
            # A split's articles joined are its file.
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        corpus = self._corpus(dl_manager)
        corpus.check()
        return {
            split: self._generate_examples(corpus, split) for split in SPLITS
        }

    def _generate_examples(
        self, corpus: Corpus, split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        with _little_memory():
            for article in articles(corpus.lines(split)):
                yield (
                    article.offset << _KEY_SHIFT,
                    {"title": article.title, "text": article.text},
                )

    def _corpus(self, dl_manager: tfds.download.DownloadManager) -> Corpus:
        name = f"wikitext-{self.builder_config.name}"
        places = [self.data_dir_root]
        with contextlib.suppress(AssertionError):  # It is not there, or empty.
            places.append(dl_manager.manual_dir)
        for place in places:
            if corpus := find(Path(place), name):
                return corpus
        return Corpus(name, mirrors.download(name, dl_manager))


@contextlib.contextmanager
def _little_memory() -> Iterator[None]:
    """Lowers the bound of 1 GB under which TFDS keeps a split in memory."""
    bound = shuffle.MAX_MEM_BUFFER_SIZE
    shuffle.MAX_MEM_BUFFER_SIZE = BUFFER_BYTES
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = bound
