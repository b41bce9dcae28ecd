"""Any TFDS dataset with a feature of text as a source of documents."""

import contextlib
import difflib
import functools
import io
import itertools
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from tflm import config as configuration
from tflm.datasets.documents import Document, Row, Source
from tflm.datasets.held_out import SPLITS

# Importing a builder registers it with TFDS.
from tflm.datasets.python_docs import python_docs_dataset_builder  # noqa: F401


def open_sources(
    config: configuration.DataConfig,
) -> tuple[str, dict[str, Source]]:
    """Opens the TFDS dataset that `config` names, preparing it if need be.

    Args:
        config: `dataset` is the TFDS name, `data_dir` where it is or goes.

    Returns:
        The name with its configuration, and the documents of each split that
        the dataset has, read from the start at every call.

    Raises:
        ValueError: If the dataset is unknown, has no training split, or has
            no such text feature.
    """
    with _quiet():
        builder = _builder(config)
        feature = _text_feature(builder, config)
        builder.download_and_prepare()  # Returns at once if it is prepared.
    sources: dict[str, Source] = {
        split: functools.partial(_documents, builder, split, feature, config)
        for split in SPLITS
        if split in builder.info.splits
    }
    if "train" not in sources:
        raise ValueError(
            "`dataset` must have a train split. Received: "
            f"dataset={config.dataset}. Its splits: "
            f"{', '.join(builder.info.splits)}"
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


def _builder(config: configuration.DataConfig) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(config.dataset, data_dir=config.data_dir)
    except ValueError:
        name, _, rest = config.dataset.partition("/")
        names = tfds.list_builders(with_community_datasets=False)
        if name in names:
            if not rest:
                raise
            valid = tfds.builder_cls(name).builder_configs
            message = configuration.unknown(
                f"configuration of {name}", rest, valid
            )
            raise ValueError(message) from None
        close = difflib.get_close_matches(name, names, n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            "`dataset` must be python_docs or another name that "
            "tfds.list_builders() gives. Received: "
            f"dataset={config.dataset}{hint}"
        ) from None


def _text_feature(
    builder: tfds.core.DatasetBuilder, config: configuration.DataConfig
) -> str:
    names = _scalars(builder, tf.string)
    if config.text_feature is not None:
        if config.text_feature in names:
            return config.text_feature
        raise ValueError(
            configuration.unknown("text_feature", config.text_feature, names)
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS's progress bars, prints and log lines from the user."""
    tfds.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        # Standard output belongs to what the commands print.
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
