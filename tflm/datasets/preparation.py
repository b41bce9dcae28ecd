"""TFDS builders by the names that `--dataset` takes, and their preparation."""

import contextlib
import difflib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core.download import downloader

from tflm import checked
from tflm import config as configuration

# Importing a builder registers it with TFDS.
from tflm.datasets.python_docs import python_docs_dataset_builder  # noqa: F401
from tflm.datasets.wikitext import corpus, wikitext_dataset_builder

_WIKITEXT = wikitext_dataset_builder.NAMES
_CACHE = "~/.cache/tflm"
_INFO_FILE = "dataset_info.json"  # in the folder of a prepared version
_MOST_CHARACTERS = 300
_WAYS_OUT = (
    "If it can be prepared elsewhere, give its folder with --data_dir; else "
    "give --train_file a text of your own"
)


def open_builder(
    config: configuration.DataConfig,
) -> tfds.core.DatasetBuilder:
    """The TFDS builder that `dataset` names, reading and writing `data_dir`.

    A WikiText that lies in a `data_dir` which cannot be written to is
    prepared below `cache_dir`, in a folder named by its content.

    Args:
        config: `dataset` is one of the names of WikiText, such as
            wikitext-2-raw, or any TFDS name, perhaps with configuration and
            version: `name/configuration:1.0.0`. It is not looked at where
            `data_dir` is the folder of one prepared version.

    Returns:
        The builder. Nothing is prepared yet.

    Raises:
        ValueError: If there is no such dataset, configuration or version.

    Example:
    >>> config = configuration.DataConfig(dataset="wikitext-103-raw")
    >>> open_builder(config).info.full_name
    'wikitext/103-raw/1.0.0'
    """
    folder = _data_dir(config)
    if folder is not None and (Path(folder) / _INFO_FILE).is_file():
        # Whoever prepared it, wherever: nothing of its code is needed.
        return tfds.builder_from_directory(folder)
    builder = _named(config, folder)
    if (
        folder is None
        or builder.name != "wikitext"
        or builder.is_prepared()
        or os.access(folder, os.W_OK)
    ):
        return builder
    name = f"wikitext-{builder.builder_config.name}"
    source = corpus.find(Path(folder), name)
    if source is None:
        return builder
    source.check()
    cache = Path(config.cache_dir or _CACHE).expanduser()
    return _named(config, str(cache / "tfds" / source.digest()))


def prepare(
    builder: tfds.core.DatasetBuilder, config: configuration.DataConfig
) -> None:
    """Downloads and prepares a dataset, or finds it prepared already.

    Args:
        builder: The dataset.
        config: What the builder was opened with.

    Raises:
        ValueError: If it cannot be prepared, for whatever reason.
    """
    settings = tfds.download.DownloadConfig()
    if builder.name == "wikitext" and config.data_dir is not None:
        # The builder's own is another folder where this one is read-only.
        settings.manual_dir = _data_dir(config)
    try:
        with _impatient():
            builder.download_and_prepare(download_config=settings)
    except ValueError as error:
        raise ValueError(_short(error)) from error
    except Exception as error:  # TFDS names no common class of them.
        raise ValueError(
            "`dataset` must be one that TFDS can prepare. Received: "
            f"dataset={config.dataset}. {_short(error)}. {_WAYS_OUT}"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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


def _named(
    config: configuration.DataConfig, data_dir: str | None
) -> tfds.core.DatasetBuilder:
    name, colon, version = config.dataset.partition(":")
    tfds_name = _WIKITEXT.get(name, name) + colon + version
    try:
        return tfds.builder(tfds_name, data_dir=data_dir)
    except ValueError as error:
        raise _unknown(config.dataset, error) from error
    except AssertionError as error:
        available = str(error).rpartition("only: ")[2].rstrip(".")
        raise ValueError(
            "`dataset` must name a version that there is. Received: "
            f"dataset={config.dataset}. Valid: {available}"
        ) from error
    except Exception as error:  # TFDS names no common class of them.
        raise ValueError(
            "`dataset` must be one that TFDS can open. Received: "
            f"dataset={config.dataset}. {_short(error)}. {_WAYS_OUT}"
        ) from error


def _unknown(dataset: str, error: ValueError) -> ValueError:
    """What to say of a name that TFDS does not know."""
    name, _, rest = dataset.partition("/")
    names = tfds.list_builders(with_community_datasets=False)
    if name in names:
        if not rest:
            return ValueError(_short(error))
        valid = tfds.builder_cls(name).builder_configs
        kind = f"configuration of {name}"
        return ValueError(checked.unknown(kind, rest, valid))
    close = difflib.get_close_matches(name, [*_WIKITEXT, *names], n=1)
    hint = f". Did you mean {close[0]!r}?" if close else ""
    return ValueError(
        f"`dataset` must be python_docs, {', '.join(_WIKITEXT)} or another "
        "name that tfds.list_builders() gives. Received: "
        f"dataset={dataset}{hint}"
    )


def _data_dir(config: configuration.DataConfig) -> str | None:
    if config.data_dir is None:
        return None
    # `Path` would spoil an address such as gs://bucket.
    folder = os.path.expanduser(config.data_dir)  # noqa: PTH111
    if Path(folder).is_file():
        raise ValueError(
            "`data_dir` must be a folder. Received: "
            f"data_dir={folder}. Give the folder that the file is in"
        )
    return folder


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Has TFDS ask a host twice, not for minutes, where it does not answer."""
    retries = downloader.MAX_RETRIES
    downloader.MAX_RETRIES = 1
    try:
        yield
    finally:
        downloader.MAX_RETRIES = retries


def _short(error: Exception) -> str:
    """The error in one line, with its kind where the words need it."""
    url = getattr(getattr(error, "request", None), "url", None)
    if isinstance(error, OSError) and url:
        return f"{urlsplit(url).hostname} could not be reached"
    text = " ".join(str(error).split()).rstrip(".")
    if not isinstance(error, (ValueError, AssertionError)):
        text = f"{type(error).__name__}: {text}"
        if len(text) > _MOST_CHARACTERS:
            text = f"{text[: _MOST_CHARACTERS - 3]}..."
    return text
