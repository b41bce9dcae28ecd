"""The scores of a trained model, with the baselines beside them."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from tflm import config as configuration
from tflm.evaluation import Baselines, Evaluator
from tflm.scoring_settings import ScoringSettings
from tflm.training.text import PreparedText, prepare
from tflm.training.trained_model import TrainedModel


def evaluate(
    trained: TrainedModel,
    text: PreparedText,
    splits: Sequence[str],
    settings: ScoringSettings | None = None,
    with_baselines: bool = True,
) -> dict[str, dict[str, Any]]:
    """Scores splits, each target once.

    Args:
        trained: The model.
        text: The data, under the model's tokenizer.
        splits: Names of splits.
        settings: How the text is read. Default: documents one by one, each
            target with all of its history.
        with_baselines: Whether to say what `Baselines` need for the same
            text, given the same training text. Default True.

    Returns:
        By split, the figures of `Score.to_dict`, with the name of the data
        set, the split, how it was read, and the baselines' figures.
    """
    scorer = evaluator(trained, settings)
    baselines = None
    if with_baselines and any(split != "train" for split in splits):
        baselines = baselines_of(text, scorer.settings)
    figures = {}
    for split in splits:
        pieces, store = text.text.splits[split], text.stores[split]
        figures[split] = {
            "dataset": text.text.name,
            "split": split,
            **scorer.settings.to_dict(),
            **scorer.score(pieces, store).to_dict(),
        }
        if baselines is not None and split != "train":
            figures[split].update(baselines.figures(pieces, store))
    return figures


def evaluate_files(
    trained: TrainedModel,
    config: configuration.Config,
    settings: ScoringSettings | None = None,
    with_baselines: bool = True,
) -> dict[str, Any]:
    """Scores the files that `config.data.train_file` names, all of them.

    Args:
        trained: The model.
        config: Its data group names the files.
        settings: As in `evaluate`.
        with_baselines: As in `evaluate`. They need the text that the model
            was trained on; where it cannot be read they are left out.

    Returns:
        The figures, as `evaluate` gives them, without a split.
    """
    with named_text_file():
        text = prepare(config, trained.tokenizer)
    scorer = evaluator(trained, settings)
    pieces, store = text.text.splits["train"], text.stores["train"]
    figures = {
        "dataset": text.text.name,
        **scorer.settings.to_dict(),
        **scorer.score(pieces, store).to_dict(),
    }
    if with_baselines:
        folders = {"data_dir": config.data.data_dir}
        folders["cache_dir"] = config.data.cache_dir
        try:
            training = text_of(trained, {n: f for n, f in folders.items() if f})
        except (OSError, ValueError) as error:
            warnings.warn(
                "the baselines are left out: the text that the model was "
                f"trained on cannot be read ({error})",
                stacklevel=1,
            )
        else:
            baselines = baselines_of(training, scorer.settings)
            figures.update(baselines.figures(pieces, store))
    return figures


def of_files(
    files: Sequence[str],
    like: configuration.Config,
    overrides: dict[str, Any],
) -> configuration.Config:
    """Settings that name files to be scored, all of them.

    Args:
        files: The files.
        like: Settings of a run, as whose text they are read: its column or
            field, its delimiter and what of it is a document.
        overrides: Settings of the data group to read them with.
    """
    as_the_run = ("text_feature", "delimiter", "document_unit")
    return configuration.from_flat(
        {
            "train_file": tuple(files),
            "validation_fraction": 0.0,
            "test_fraction": 0.0,
            **{name: getattr(like.data, name) for name in as_the_run},
            **overrides,
        }
    )


@contextlib.contextmanager
def named_text_file() -> Iterator[None]:
    """Has errors name `text_file`, not the setting that carries it."""
    try:
        yield
    except (OSError, ValueError) as error:
        if "train_file" not in str(error):
            raise
        said = str(error).replace("train_file", "text_file")
        raise type(error)(said) from None


def evaluator(
    trained: TrainedModel, settings: ScoringSettings | None = None
) -> Evaluator:
    """The `Evaluator` of a trained model.

    A window is as long as the GPT's context, or as the sequences that the
    model was trained on.
    """
    window = trained.config.sequences.seq_len
    window = getattr(trained.model, "context", window)
    return Evaluator(trained.model, trained.tokenizer, settings, window)


def baselines_of(text: PreparedText, settings: ScoringSettings) -> Baselines:
    """The `Baselines` that are given a data set's training text."""
    return Baselines(
        text.text.splits["train"],
        text.stores["train"],
        text.tokenizer,
        settings.documents,
    )


def text_of(trained: TrainedModel, overrides: dict[str, Any]) -> PreparedText:
    """The text that a model was trained on, read again.

    Args:
        trained: The model.
        overrides: Settings of the data group to read it with.
    """
    data = dataclasses.replace(trained.config.data, **overrides)
    config = dataclasses.replace(trained.config, data=data)
    return prepare(config, trained.tokenizer)
