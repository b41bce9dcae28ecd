"""Settings of a run: frozen dataclasses, one glossed field a line.

A setting has one name everywhere: the field here, the flag of a command
(`--seq_len` or `--seq-len`), the key of a settings file, the key in a run's
`config.json`.
"""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from tflm.checked import Checked, require, require_at_least, setting, unknown

MODELS = ("gru", "lstm", "simple_rnn", "gpt", "ngram")
SMOOTHINGS = ("mle", "laplace", "interpolation", "backoff", "kneser_ney")
TOKENIZERS = ("characters", "bytes", "words", "unigram", "bpe", "word_piece")
SPLITTERS = ("white_space", "unicode")
NORMALIZATIONS = ("none", "nfc", "nfkc")
SEQUENCES = ("windows", "random", "contiguous", "documents")
PADDINGS = ("buckets", "longest", "fixed")
DOCUMENT_UNITS = ("document", "paragraph", "line", "sentence")
PRECISIONS = ("auto", "float32", "bfloat16")
SCHEDULES = ("cosine", "constant")
# The settings that end a run; all that may change when it is resumed.
BOUNDS = ("epochs", "max_steps", "max_minutes")

# What a kind of model takes for its default where that is not the field's.
MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt": {
        "num_layers": 4,
        "embedding_dim": 128,
        "context": 64,
        "seq_len": 64,
        "batch_size": 16,
        "tie_embeddings": True,
        "learning_rate": 2e-3,
        "dropout": 0.1,
    },
}

# The folder of exported models where none is named.
EXPORTS = "saved_models"

# How long a run trains that is given no bound.
DEFAULT_MINUTES = 3.0


@dataclasses.dataclass(frozen=True)
class DataConfig(Checked):
    """Where the text comes from and how it is divided into splits."""

    dataset: str = setting(
        "python_docs", "python_docs, wikitext-2 and its kin, or any TFDS name"
    )
    data_dir: str | None = setting(
        None, "folder of a prepared TFDS dataset or of WikiText's archive"
    )
    cache_dir: str | None = setting(
        None, "folder of texts turned into ids (default ~/.cache/tflm)"
    )
    train_file: tuple[str, ...] = setting(
        (), "files, globs or - to train on (text, .csv, .jsonl, .json, .gz)"
    )
    validation_file: tuple[str, ...] = setting((), "files to validate on")
    test_file: tuple[str, ...] = setting((), "files to test on")
    validation_fraction: float = setting(
        0.05, "share of the text held out where there is no validation split"
    )
    test_fraction: float = setting(
        0.05, "share of the text held out where there is no test split"
    )
    text_feature: str | None = setting(
        None, "TFDS feature, CSV column (name or number) or JSON field"
    )
    encoding: str = setting("utf-8", "encoding of the files")
    delimiter: str = setting(",", "one character between the columns of CSV")
    max_documents: int | None = setting(None, "documents read at the most")
    max_document_characters: int | None = setting(
        None, "characters kept of each document"
    )
    document_unit: str = setting(
        "document", "what of the text is a document", DOCUMENT_UNITS
    )
    shard: str | None = setting(
        None, "i/n: train on every n-th document of the training split alone"
    )

    def _check_ranges(self) -> None:
        for name in ("validation_fraction", "test_fraction"):
            require(0 <= getattr(self, name) < 1, self, name, "in [0, 1)")
        held_out = self.validation_fraction + self.test_fraction
        if held_out >= 1:
            raise ValueError(
                "`validation_fraction` and `test_fraction` must leave text "
                f"to train on: their sum must be under 1. Received: {held_out}"
            )
        require(len(self.delimiter) == 1, self, "delimiter", "one character")
        for name in ("max_documents", "max_document_characters"):
            require_at_least(1, self, name)


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(Checked):
    """How text becomes ids."""

    tokenizer: str = setting("characters", "kind of token", TOKENIZERS)
    vocabulary_size: int | None = setting(
        None,
        "most tokens in the vocabulary, the four special ones included "
        "(default: all for words and characters, 8,000 for subwords)",
    )
    min_count: int | None = setting(
        None,
        "leave out what the training text has fewer times than this "
        "(default: 2 for words, 1 for characters)",
    )
    unknown_word: str = setting(
        "<unk>", "the word that stands for the words left out"
    )
    lowercase: bool = setting(False, "turn the text to lower case first")
    sample_characters: int = setting(
        10_000_000, "characters of the text that subwords are learnt from"
    )
    splitter: str = setting(
        "white_space", "what ends a word; unicode: punctuation too", SPLITTERS
    )
    normalization: str = setting(
        "none", "Unicode normal form that text is given first", NORMALIZATIONS
    )

    def _check_ranges(self) -> None:
        require_at_least(5, self, "vocabulary_size")
        require_at_least(1, self, "min_count")
        require_at_least(1, self, "sample_characters")
        if self.tokenizer == "bytes" and self.normalization != "none":
            raise ValueError(
                "`normalization` must be none for bytes, which stand for "
                "every text as it is. Received: "
                f"normalization={self.normalization!r}"
            )
        if self.tokenizer != "words" and self.splitter != "white_space":
            raise ValueError(
                "`splitter` goes with --tokenizer words. Received: "
                f"splitter={self.splitter!r}, tokenizer={self.tokenizer!r}"
            )


@dataclasses.dataclass(frozen=True)
class SequencesConfig(Checked):
    """How ids become batches."""

    sequences: str = setting("windows", "kind of sequence", SEQUENCES)
    seq_len: int = setting(128, "tokens in a sequence")
    batch_size: int = setting(32, "sequences in a batch")
    span: int = setting(
        0, "positions after which a contiguous row jumps elsewhere; 0: never"
    )
    pad: str = setting("buckets", "to what documents are padded", PADDINGS)

    def _check_ranges(self) -> None:
        require_at_least(1, self, "seq_len")
        require_at_least(1, self, "batch_size")
        require_at_least(0, self, "span")
        if self.span and self.sequences != "contiguous":
            raise ValueError(
                "`span` goes with --sequences contiguous. Received: "
                f"span={self.span}, sequences={self.sequences!r}"
            )
        if self.span % self.seq_len:
            raise ValueError(
                "`span` must be a multiple of `seq_len`. Received: "
                f"span={self.span}, seq_len={self.seq_len}"
            )


@dataclasses.dataclass(frozen=True)
class ModelConfig(Checked):
    """The shape of the model."""

    model: str = setting("gru", "kind of model", MODELS)
    embedding_dim: int = setting(128, "width of the input; 0 means one-hot")
    units: int = setting(384, "units of each recurrent layer")
    num_layers: int = setting(1, "recurrent layers, or blocks of the GPT")
    num_heads: int = setting(4, "attention heads of the GPT")
    context: int = setting(128, "tokens that the GPT attends to")
    dropout: float = setting(0.3, "share of inputs and outputs dropped")
    tie_embeddings: bool = setting(
        False, "use the embedding's weights in the output layer too"
    )
    num_sampled: int = setting(
        0, "tokens that a target is told from in training, for speed; 0: all"
    )
    order: int = setting(5, "tokens of the n-gram model's longest n-grams")
    smoothing: str = setting(
        "kneser_ney", "what the n-gram model gives to the unseen", SMOOTHINGS
    )
    add_k: float = setting(1.0, "what laplace adds to every count")
    embeddings: str | None = setting(
        None, "file of word vectors to begin with (GloVe, word2vec, .gz)"
    )
    freeze_embeddings: bool = setting(
        False, "leave the word vectors of the file as they are"
    )

    def _check_ranges(self) -> None:
        for name in ("embedding_dim", "num_sampled"):
            require_at_least(0, self, name)
        require_at_least(1, self, "units")
        for name in ("num_layers", "num_heads", "context", "order"):
            require_at_least(1, self, name)
        require(self.add_k > 0, self, "add_k", "above 0")
        if self.model == "gpt" and self.embedding_dim % (2 * self.num_heads):
            raise ValueError(
                "`embedding_dim` must be a multiple of twice `num_heads`. "
                f"Received: embedding_dim={self.embedding_dim}, "
                f"num_heads={self.num_heads}"
            )
        require(0 <= self.dropout < 1, self, "dropout", "in [0, 1)")
        if self.freeze_embeddings and not self.embeddings:
            raise ValueError(
                "`freeze_embeddings` goes with --embeddings FILE. Received: "
                "embeddings=None"
            )
        if self.embeddings and (
            self.model == "ngram" or not self.embedding_dim
        ):
            raise ValueError(
                "`embeddings` need a model with an embedding. Received: "
                f"model={self.model!r}, embedding_dim={self.embedding_dim}"
            )
        if self.tie_embeddings and not self.embedding_dim:
            raise ValueError(
                "`tie_embeddings` needs an embedding: `embedding_dim` must "
                "be at least 1. Received: embedding_dim=0"
            )


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Checked):
    """How the model is trained; the first bound reached ends the run."""

    epochs: int | None = setting(None, "passes over the training text")
    max_steps: int | None = setting(None, "optimizer steps")
    max_minutes: float | None = setting(None, "minutes of training")
    learning_rate: float = setting(8e-3, "learning rate after warm-up")
    schedule: str = setting("cosine", "decay of the learning rate", SCHEDULES)
    warmup_steps: int = setting(50, "steps from zero to the learning rate")
    weight_decay: float = setting(0.1, "AdamW's decay of weights")
    clipnorm: float = setting(1.0, "global norm of the gradient; 0 is off")
    patience: int = setting(
        8, "evaluations without a better validation loss to stop after; 0: off"
    )
    evaluate_every: int | None = setting(
        None, "steps between evaluations (default: an epoch, 50 to 1,000)"
    )
    log_every: int = setting(10, "steps between lines of metrics.jsonl")
    precision: str = setting("auto", "arithmetic of the layers", PRECISIONS)
    seed: int = setting(0, "seed of weights, shuffling and dropout")

    def resolved(self) -> "TrainingConfig":
        """The same, with the default bound where no bound is set."""
        if all(getattr(self, name) is None for name in BOUNDS):
            return dataclasses.replace(self, max_minutes=DEFAULT_MINUTES)
        return self

    def bounded(self, bounds: Mapping[str, Any]) -> "TrainingConfig":
        """The same with these bounds, if any, in the place of its own."""
        if not bounds:
            return self
        values = {**dict.fromkeys(BOUNDS), **bounds}
        return dataclasses.replace(self, **values).resolved()

    def _check_ranges(self) -> None:
        for name in ("epochs", "max_steps", "evaluate_every", "log_every"):
            require_at_least(1, self, name)
        if self.max_minutes is not None:
            require(self.max_minutes > 0, self, "max_minutes", "above 0")
        require(self.learning_rate > 0, self, "learning_rate", "above 0")
        for name in ("warmup_steps", "weight_decay", "clipnorm", "patience"):
            require_at_least(0, self, name)
        require(0 <= self.seed < 2**31, self, "seed", "in [0, 2**31)")


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes.

    Example:
    >>> config = from_flat({"units": 64, "max_steps": 10})
    >>> config.model.units, config.sequences.seq_len
    (64, 128)
    """

    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = dataclasses.field(
        default_factory=TokenizerConfig
    )
    sequences: SequencesConfig = dataclasses.field(
        default_factory=SequencesConfig
    )
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The settings by group, ready for JSON."""
        return dataclasses.asdict(self)


def settings() -> dict[str, tuple[dataclasses.Field, Any]]:
    """Each setting's name with its field and its type, in reading order."""
    return {
        entry.name: (entry, typing.get_type_hints(group.type)[entry.name])
        for group in dataclasses.fields(Config)
        for entry in dataclasses.fields(group.type)  # type: ignore[arg-type]
    }


def from_flat(values: Mapping[str, Any]) -> Config:
    """Builds a `Config` from settings by name, defaults for the rest.

    Args:
        values: Mapping of setting to value, as in a settings file.

    Returns:
        The checked `Config`.

    Raises:
        ValueError: If a name is not a setting (the message says the closest)
            or a value is out of range.
        TypeError: If a value has the wrong type.
    """
    known = settings()
    for name in values:
        if name not in known:
            raise ValueError(unknown("setting", name, known))
    usual = MODEL_DEFAULTS.get(str(values.get("model")), {})
    values = {**usual, **values}
    groups = {}
    for group in dataclasses.fields(Config):
        entries = dataclasses.fields(group.type)  # type: ignore[arg-type]
        names = {entry.name for entry in entries}
        chosen = {name: values[name] for name in values if name in names}
        groups[group.name] = group.type(**chosen)  # type: ignore[operator]
    return Config(**groups)


def from_dict(groups: Mapping[str, Mapping[str, Any]]) -> Config:
    """Builds a `Config` from what `Config.to_dict` gave, also out of JSON."""
    flat: dict[str, Any] = {}
    for values in groups.values():
        flat.update(values)
    return from_flat(flat)
