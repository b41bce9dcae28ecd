"""Any TFDS dataset with a feature of text as a source of documents."""

import functools
import itertools
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds

from tflm import checked
from tflm import config as configuration
from tflm.datasets import preparation
from tflm.datasets.documents import Document, Row, Source
from tflm.datasets.held_out import SPLITS


def open_sources(
    config: configuration.DataConfig,
) -> tuple[str, dict[str, Source]]:
    """Opens the TFDS dataset that `config` names, preparing it if need be.

    Args:
        config: `dataset` is the name, `data_dir` the folder where it is,
            prepared or (a WikiText) as it is published, or where it goes.

    Returns:
        The name with its configuration, and the documents of each split that
        the dataset has, read from the start at every call.

    Raises:
        ValueError: If the dataset is unknown, cannot be prepared, has no
            training split, or has no such text feature.
    """
    with preparation.quiet():
        builder = preparation.open_builder(config)
        feature = _text_feature(builder, config)
        preparation.prepare(builder, config)
    # TFDS's mocked datasets do not say what splits they have.
    available = builder.info.splits or ["train"]
    sources: dict[str, Source] = {
        split: functools.partial(_documents, builder, split, feature, config)
        for split in SPLITS
        if split in available
    }
    if "train" not in sources:
        raise ValueError(
            "`dataset` must have a train split. Received: "
            f"dataset={config.dataset}. Its splits: {', '.join(available)}"
        )
    parts = [
        builder.name,
        builder.builder_config and builder.builder_config.name,
    ]
    return "/".join(filter(None, parts)), sources


def _documents(
    builder: tfds.core.DatasetBuilder,
    split: str,
    feature: str,
    config: configuration.DataConfig,
) -> Iterator[Document]:
    examples = builder.as_dataset(
        split=split,
        # A cache that is not read to its end makes TensorFlow warn.
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    # A dataset of whole documents does without these two features.
    flags = {"starts", "ends"} & set(_scalars(builder, tf.bool))
    rows = examples.map(
        lambda example: (
            example[feature],
            example["starts"] if "starts" in flags else True,
            example["ends"] if "ends" in flags else True,
        )
    )
    numpy = itertools.islice(rows.as_numpy_iterator(), config.max_documents)
    for text, starts, ends in numpy:
        row = Row(text.decode("utf-8", "replace"), bool(starts), bool(ends))
        yield row.shortened(config.max_document_characters)


def _text_feature(
    builder: tfds.core.DatasetBuilder, config: configuration.DataConfig
) -> str:
    names = _scalars(builder, tf.string)
    if config.text_feature is not None:
        if config.text_feature in names:
            return config.text_feature
        raise ValueError(
            checked.unknown("text_feature", config.text_feature, names)
        )
    if len(names) == 1:
        return names[0]
    if "text" in names:
        return "text"
    raise ValueError(
        f"`text_feature` must name one of {config.dataset}'s string features. "
        f"Received: text_feature=None. Choose: {', '.join(names) or 'none'}"
    )


def _scalars(builder: tfds.core.DatasetBuilder, dtype: tf.DType) -> list[str]:
    """The names of the features that are one value of a type."""
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        return []
    return [
        name
        for name, feature in features.items()
        if feature.shape == () and feature.tf_dtype == dtype
    ]
