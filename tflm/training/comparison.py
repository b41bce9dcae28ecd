"""Runs side by side: what their models score on the same text."""

import contextlib
import dataclasses
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import tensorflow as tf

from tflm import checked
from tflm import config as configuration
from tflm.evaluation import Score
from tflm.evaluation.baselines import ORDER
from tflm.models import LanguageModel, NGram
from tflm.pipelines import TokenStore
from tflm.scoring_settings import ScoringSettings
from tflm.tokenizers import Tokenizer
from tflm.training.callbacks import read_metrics
from tflm.training.run_directory import RunDirectory
from tflm.training.scores import baselines_of, evaluator, named_text_file
from tflm.training.text import PreparedText, prepare
from tflm.training.trained_model import load


@dataclasses.dataclass(frozen=True)
class Row:
    """A run or a baseline, with what is known of it; None where nothing is."""

    name: str  # the run's directory as it was given, or the baseline
    model: str
    tokens: str | None = None  # the kind of tokenizer
    parameters: int | None = None  # of an n-gram model, its n-grams
    bits_per_byte: float = math.inf
    interval: tuple[float, float] | None = None  # of the bits per byte
    word_perplexity: float | None = None
    unknown_share: float | None = None
    training_tokens_per_second: float | None = None  # median of the log
    training_minutes: float | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The rows, best first, and the text that they were scored on.

    Attributes:
        title: The data set, the split and how it was read.
        rows: Sorted by bits per byte.
    """

    title: str
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class ComparedText:
    """The text that runs are compared on.

    Attributes:
        config: Its data group names the text.
        split: Optional. Default None: "test", or "validation" where there is
            no test.
        training: Settings whose data group names the text that the baselines
            are given, where `config` names files of their own, all of them
            to be scored (`split` "train"). Default None: the training split.
    """

    config: configuration.Config
    split: str | None = None
    training: configuration.Config | None = None


def compare(
    paths: Sequence[str | os.PathLike[str]],
    text: ComparedText,
    settings: ScoringSettings | None = None,
    with_baselines: bool = True,
) -> Comparison:
    """Scores the models of runs on one text, each with its own tokenizer.

    A run whose training text may hold the scored text is warned of, and so is
    one that reads the text in lower case: its text is an easier one.

    Args:
        paths: Directories of runs.
        text: What they are scored on.
        settings: How it is read, see `tflm.training.scores.evaluate`.
        with_baselines: Whether xz and a Kneser-Ney 5-gram model for each
            tokenizer stand among the rows.

    Returns:
        The `Comparison`.

    Raises:
        FileNotFoundError: If a path holds no run, or no weights.
        ValueError: If there is no path, or the text has no such split.
    """
    if not paths:
        raise ValueError("`paths` must name a run. Received: paths=[]")
    settings = settings or ScoringSettings()
    rows: list[Row] = []
    prepared: dict[str, _Prepared] = {}
    for path in paths:
        run, trained = RunDirectory.open(path), load(path)
        key = trained.tokenizer.fingerprint()
        if key not in prepared:
            prepared[key] = _prepare(text, trained.tokenizer)
            if with_baselines:
                # xz knows no tokens: its figure is the same for all.
                with_xz = len(prepared) == 1
                rows += _baselines(
                    text, prepared[key], settings, with_xz, os.fspath(path)
                )
        _warn(run, trained.tokenizer, text, prepared[key])
        score = evaluator(trained, settings).score(*prepared[key].scored)
        kind = trained.config.model.model
        row = _row(os.fspath(path), kind, score, trained.tokenizer)
        speed, minutes = _training(run)
        row = dataclasses.replace(
            row,
            parameters=_size(trained.model),
            training_tokens_per_second=speed,
            training_minutes=minutes,
        )
        rows.append(row)
    rows.sort(key=lambda row: row.bits_per_byte)
    title = _title(text, prepared[key], settings)
    return Comparison(title, tuple(rows))


class _Prepared(NamedTuple):
    """The text under one tokenizer."""

    text: PreparedText
    split: str

    @property
    def scored(self) -> tuple[tf.data.Dataset, TokenStore]:
        return self.text.text.splits[self.split], self.text.stores[self.split]


def _prepare(text: ComparedText, tokenizer: Tokenizer) -> _Prepared:
    with named_text_file() if text.training else contextlib.nullcontext():
        ready = prepare(text.config, tokenizer)
    if not text.split and not ready.held_out:
        raise ValueError(
            f"the text {ready.text.name} has no held-out split: compare on "
            "files of your own with --text_file, or name a --split"
        )
    split = text.split or ready.held_out[-1]
    if split not in ready.stores:
        raise ValueError(checked.unknown("split", split, ready.stores))
    return _Prepared(ready, split)


def _baselines(
    text: ComparedText,
    prepared: _Prepared,
    settings: ScoringSettings,
    with_xz: bool,
    like: str,
) -> list[Row]:
    """The rows of the baselines under one tokenizer, that of the run `like`."""
    training, tokenizer = prepared.text, prepared.text.tokenizer
    if text.training is not None:
        try:
            training = prepare(text.training, tokenizer)
        except (OSError, ValueError) as error:
            warnings.warn(
                "the baselines are left out: the text to train them on cannot "
                f"be read ({error})",
                stacklevel=1,
            )
            return []
    baselines = baselines_of(training, settings)
    rows = []
    bits = baselines.xz(prepared.scored[0]) if with_xz else None
    if bits is not None:
        rows.append(Row("xz", "compressor", bits_per_byte=bits))
    score = baselines.kneser_ney(*prepared.scored)
    if score is not None:
        name = f"Kneser-Ney {ORDER}-gram, tokens as in {like}"
        rows.append(_row(name, "ngram", score, tokenizer))
    return rows


def _row(name: str, model: str, score: Score, tokenizer: Tokenizer) -> Row:
    counts = score.counts
    return Row(
        name,
        model,
        tokens=tokenizer.kind,
        bits_per_byte=score.bits_per_byte,
        interval=score.bits_per_byte_interval,
        word_perplexity=score.word_perplexity,
        unknown_share=counts.unknown_tokens / counts.tokens,
    )


def _size(model: LanguageModel) -> int:
    if isinstance(model, NGram):
        return model.num_ngrams
    return model.count_params()


def _training(run: RunDirectory) -> tuple[float | None, float | None]:
    """A run's tokens a second and its minutes, as its log says."""
    entries = read_metrics(run.metrics) if run.metrics.exists() else []
    speeds = [
        e["tokens_per_second"] for e in entries if "tokens_per_second" in e
    ]
    seconds = [e["seconds"] for e in entries if "seconds" in e]
    return (
        median(speeds) if speeds else None,
        max(seconds) / 60 if seconds else None,
    )


def _warn(
    run: RunDirectory,
    tokenizer: Tokenizer,
    text: ComparedText,
    prepared: _Prepared,
) -> None:
    """Warns where a run's score would flatter it."""
    if getattr(tokenizer, "lowercase", False):
        warnings.warn(
            f"{run.path} reads the text in lower case, which is easier to "
            "tell: its score does not compare",
            stacklevel=2,
        )
    if _may_hold(run, text, prepared):
        warnings.warn(
            f"{run.path} was trained on a text that the scored one is not "
            "known to be held out from: it may have seen what it is scored on",
            stacklevel=2,
        )


def _may_hold(
    run: RunDirectory, text: ComparedText, prepared: _Prepared
) -> bool:
    """Whether the text that a run was trained on may hold the scored one."""
    hashes = {
        split: values["text_hash"]
        for split, values in run.fingerprint["splits"].items()
    }
    stores = prepared.text.stores
    training = hashes.pop("train")
    scored = stores[prepared.split].text_hash
    if scored == training:
        return True
    if scored in hashes.values():
        return False
    if text.training is None:
        return training != stores["train"].text_hash
    # Files of their own: all that can be known is that they are the run's.
    files = {Path(file).resolve() for file in text.config.data.train_file}
    return any(
        Path(file).resolve() in files for file in run.config.data.train_file
    )


def _title(
    text: ComparedText, prepared: _Prepared, settings: ScoringSettings
) -> str:
    _, store = prepared.scored
    read = ", ".join(f"{n} {value}" for n, value in settings.to_dict().items())
    name = prepared.text.text.name
    if text.training is None:
        name += f", {prepared.split}"
    return f"{name}: {store.counts.bytes:,} bytes, {read}"
