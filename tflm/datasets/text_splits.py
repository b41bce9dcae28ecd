"""The splits of a data set: where `--dataset` and `--train_file` lead."""

import dataclasses
import functools
from collections.abc import Iterator
from fractions import Fraction

import tensorflow as tf

from tflm import config as configuration
from tflm.datasets import local_files, tfds_text
from tflm.datasets.documents import Piece, Source
from tflm.datasets.held_out import SPLITS, HeldOut
from tflm.datasets.piece_dataset import dataset_of


@dataclasses.dataclass(frozen=True)
class TextSplits:
    """Text by split, in pieces of documents.

    Attributes:
        name: The TFDS name with its configuration, or the name of the file.
        splits: A `tf.data.Dataset` for "train" and for those of "validation"
            and "test" that have text. An element is a piece of a document, a
            dict of scalars: `text` tf.string, UTF-8, of at most 1 MiB;
            `starts` tf.bool, whether the piece is the first of a document or
            of a held-out part; `ends` tf.bool, whether the document really
            ends after it (not where a split or `max_document_characters`
            cut it). A document's pieces follow each other, and every pass
            gives the same elements in the same order.
    """

    name: str
    splits: dict[str, tf.data.Dataset]


def load(config: configuration.DataConfig) -> TextSplits:
    """Opens the text that `config` names and divides it into splits.

    Local files are read once from end to end, so that what is wrong with
    them is said here. A plain text file is one document, a row of CSV or JSON
    is one, a TFDS example is one. Where there is no validation or test split,
    a share of the training text becomes it: the last part of each plain text
    file, else the documents that a hash of their text picks.

    Args:
        config: Where the text comes from. `train_file` goes before `dataset`.

    Returns:
        The `TextSplits`.

    Raises:
        FileNotFoundError: If a file does not exist or a glob matches none.
        IsADirectoryError: If a folder stands where a file should.
        ValueError: If the text cannot be read as `config` says, or a split
            that it asks for is left without text.

    Example:
    >>> import pathlib, tempfile
    >>> from tflm.config import DataConfig
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     play = pathlib.Path(folder, "play.txt")
    ...     _ = play.write_text("To be, or not to be")
    ...     data = load(
    ...         DataConfig(
    ...             train_file=(str(play),),
    ...             validation_fraction=0.3,
    ...             test_fraction=0,
    ...         )
    ...     )
    ...     [piece] = data.splits["validation"].as_numpy_iterator()
    >>> data.name, piece["text"], bool(piece["ends"])
    ('play.txt', b' to be', True)
    """
    sources: dict[str, Source]
    if config.train_file:
        name, sources = local_files.open_sources(config)
    elif config.validation_file or config.test_file:
        raise ValueError(
            "`validation_file` and `test_file` need `train_file` beside "
            f"them. Received: validation_file={config.validation_file}, "
            f"test_file={config.test_file}. Give --train_file too"
        )
    else:
        name, sources = tfds_text.open_sources(config)
    held_out = HeldOut(
        _fraction("validation", sources, config),
        _fraction("test", sources, config),
    )
    splits = {}
    for split in SPLITS:
        if split != "train" and split in sources:
            pieces = functools.partial(_pieces, sources[split])
        elif split == "train" or getattr(held_out, split):
            source = sources["train"]
            pieces = functools.partial(_pieces, source, split, held_out)
        else:
            continue
        if any(piece.text for piece in pieces()):
            splits[split] = dataset_of(pieces)
        elif split == "train" or split not in sources:
            raise _without_text(split, config)
    return TextSplits(name, splits)


def _fraction(
    split: str,
    sources: dict[str, Source],
    config: configuration.DataConfig,
) -> Fraction:
    """The share of the training source that becomes the split."""
    if split in sources:
        return Fraction(0)
    # By way of the decimal that the user wrote: 0.1 is a tenth.
    return Fraction(str(getattr(config, f"{split}_fraction")))


def _pieces(
    source: Source, split: str = "train", held_out: HeldOut | None = None
) -> Iterator[Piece]:
    """The pieces of a source that belong to a split; by default all."""
    for document in source():
        yield from document.part(split, held_out or HeldOut())


def _without_text(split: str, config: configuration.DataConfig) -> ValueError:
    if split == "train":
        return ValueError(
            "`validation_fraction` and `test_fraction` must leave text to "
            f"train on. Received: validation_fraction="
            f"{config.validation_fraction}, test_fraction="
            f"{config.test_fraction}. Lower them, or give more text"
        )
    fraction = f"{split}_fraction"
    return ValueError(
        f"`{fraction}` must be large enough to hold out some text, or 0. "
        f"Received: {fraction}={getattr(config, fraction)}. Raise it, set it "
        f"to 0, or give the {split} split a source of its own"
    )
