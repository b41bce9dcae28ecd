"""A whole run: text, model, loop, scores, and what it leaves behind."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tflm import config as configuration
from tflm import models
from tflm.evaluation import Scorer
from tflm.generation import TextGenerator, in_precision
from tflm.models import LanguageModel
from tflm.pipelines import Lanes, Sequences, TokenStore, sequences_of
from tflm.tokenizers import Tokenizer
from tflm.training import device, word_vectors
from tflm.training.adamw import AdamW
from tflm.training.callbacks import (
    BestWeights,
    MetricsFile,
    Samples,
    TensorBoardLog,
)
from tflm.training.checkpoints import Checkpoints, has_whole
from tflm.training.counting import CountingSession
from tflm.training.loop import Loop, Progress
from tflm.training.progress import ProgressLine
from tflm.training.run_directory import RunDirectory
from tflm.training.text import PreparedText, prepare

_LANES = 64
_LANE_STEP = 128
# On the way, a held-out text is cut into segments of this many targets, which
# are read side by side; the scores at the end are exact.
_SEGMENT = 512


@dataclasses.dataclass(frozen=True)
class Session:
    """A run that is ready to train.

    Attributes:
        run: Its directory.
        text: Its data.
        model: The model in training.
        loop: Trains it.
        best: Keeps the best weights.
    """

    run: RunDirectory
    text: PreparedText
    model: LanguageModel
    loop: Loop
    best: BestWeights

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return self.loop.progress

    def train(self, resume: bool = False) -> str:
        """Trains to the first bound; see `Loop.run`.

        Raises:
            BlockingIOError: If another process is training the run.
        """
        with self.run.locked():
            reason = self.loop.run(resume)
            if not self.run.model.exists():  # interrupted before an evaluation
                self.loop.evaluate()
                self.best.write()
        return reason


def begin(
    config: configuration.Config,
    path: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    tokenizer: Tokenizer | None = None,
) -> Session | CountingSession:
    """Makes a new run: nothing is written before all is known to be good.

    Args:
        config: The settings.
        path: The directory that the run shall have.
        callbacks: More Keras callbacks, see `Loop`.
        tokenizer: Optional, a tokenizer to use as it is. Default None: the
            settings say which one is trained.

    Returns:
        The `Session`; for an n-gram model, the `CountingSession`.

    Raises:
        FileExistsError: If `path` is taken.
        ValueError, OSError: If the text is not what the settings say.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "tale.txt")
    ...     _ = file.write_text("to be or not to be, " * 30)
    ...     settings = configuration.from_flat(
    ...         {"train_file": str(file), "cache_dir": folder, "model": "ngram"}
    ...     )
    ...     session = begin(settings, Path(folder, "run"))
    ...     session.train()
    'finished'
    """
    RunDirectory(path).check_free()
    config = dataclasses.replace(config, training=config.training.resolved())
    if config.model.embeddings is not None:
        kind = tokenizer.kind if tokenizer else config.tokenizer.tokenizer
        word_vectors.check(config.model.embeddings, kind)
    text = prepare(config, tokenizer)
    counted = config.model.model == "ngram"
    precision = "float32"
    vectors = None
    if not counted:
        sequences = _sequences(config, text)
        precision = device.resolve(config.training.precision)
        config, vectors = _with_vectors(config, text)
        model = _model(config, text, precision, vectors)
    facts = {
        "precision": precision,
        "vocabulary_size": text.tokenizer.vocabulary_size,
        # Without an END to learn from, none is ever generated.
        "end_is_generated": text.stores["train"].counts.ends > 0,
    }
    if vectors is not None:
        counts = {"found": vectors.found, "missing": vectors.missing}
        facts["embeddings"] = counts
    if not counted:
        facts["padding"] = round(sequences.padding, 4)
        facts["row_parts"] = device.row_parts(config)
    run = RunDirectory.create(
        path, config, text.tokenizer, text.fingerprint(), facts
    )
    if counted:
        return CountingSession(run, text, callbacks)
    return _session(config, run, text, sequences, model, callbacks)


def resume(
    path: Path,
    bounds: dict[str, Any],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Session | CountingSession:
    """Takes a run up again where its last whole checkpoint stands.

    Args:
        path: The run's directory.
        bounds: Any of `tflm.config.BOUNDS`, that take the place of all the
            bounds of the run, also in its `config.json`. Empty: the run's.
        callbacks: More Keras callbacks, as `begin` was given them.

    Returns:
        The `Session`, to be trained with `resume=True`.

    Raises:
        FileNotFoundError: If there is no run.
        BlockingIOError: If another process is training it.
        ValueError: If the text is no longer the one that the run began with,
            or if it is an n-gram model that has been counted and scored.
    """
    run = RunDirectory.open(path)
    config = run.config
    counted = config.model.model == "ngram"
    if counted and run.evaluation.exists():
        raise ValueError(
            f"there is nothing to resume: {path} holds an n-gram model, and "
            "its text is counted"
        )
    training = config.training.bounded(bounds)
    config = dataclasses.replace(config, training=training)
    text = prepare(config, run.tokenizer)
    if text.fingerprint() != run.fingerprint:
        raise ValueError(
            f"the text of {text.text.name} is not the one that {path} was "
            "trained on (data_fingerprint.json): a run can only be resumed "
            "on the same text"
        )
    with run.locked():
        run.keep(config)
    if counted:
        return CountingSession(run, text, callbacks)
    vectors = None
    if config.model.embeddings and not has_whole(run.checkpoints):
        # There is none to take the weights from.
        config, vectors = _with_vectors(config, text)
    model = _model(config, text, run.facts["precision"], vectors)
    sequences = _sequences(config, text)
    return _session(config, run, text, sequences, model, callbacks)


def _sequences(config: configuration.Config, text: PreparedText) -> Sequences:
    return sequences_of(
        text.stores["train"], config.sequences, config.training.seed
    )


def _with_vectors(
    config: configuration.Config, text: PreparedText
) -> tuple[configuration.Config, word_vectors.WordVectors | None]:
    """The settings' word vectors, if any, and the settings of their width."""
    if config.model.embeddings is None:
        return config, None
    vectors = word_vectors.read_word_vectors(
        config.model.embeddings, text.tokenizer, config.training.seed
    )
    width = vectors.table.shape[1]
    usual = configuration.from_flat({"model": config.model.model}).model
    if config.model.embedding_dim not in (width, usual.embedding_dim):
        raise ValueError(
            f"`embedding_dim` must be {width}, as in the file of word vectors, "
            "or left out. Received: "
            f"embedding_dim={config.model.embedding_dim}"
        )
    model = dataclasses.replace(config.model, embedding_dim=width)
    return dataclasses.replace(config, model=model), vectors


def _model(
    config: configuration.Config,
    text: PreparedText,
    precision: str,
    vectors: word_vectors.WordVectors | None = None,
) -> LanguageModel:
    """The model, compiled, its weights decided by the seed."""
    training = config.training
    keras.utils.set_random_seed(training.seed)
    model = models.build(
        config.model,
        text.tokenizer.vocabulary_size,
        device.dtype_policy(precision),
    )
    if vectors is not None:
        model.embedding.set_weights([vectors.table])
    if config.model.freeze_embeddings:
        model.embedding.trainable = False
    optimizer = AdamW(
        training.learning_rate,
        weight_decay=training.weight_decay,
        global_clipnorm=training.clipnorm or None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    model.compile(optimizer, loss)
    return model


def _session(
    config: configuration.Config,
    run: RunDirectory,
    text: PreparedText,
    sequences: Sequences,
    model: LanguageModel,
    more_callbacks: Sequence[keras.callbacks.Callback],
) -> Session:
    # What is scored, sampled and kept is float32, whatever trains.
    copy = in_precision(model, "float32")
    if copy is model:
        copy = type(model).from_config(model.get_config())
    generator = TextGenerator(
        copy, text.tokenizer, allow_end=run.facts["end_is_generated"]
    )
    tensorboard = TensorBoardLog(run.tensorboard)
    samples = Samples(generator, text.prompt(), run.samples, tensorboard)
    counts = text.stores["train"].counts
    progress = ProgressLine(counts.tokens / max(counts.characters, 1), samples)
    best = BestWeights(copy, run.model)
    metrics = MetricsFile(run.metrics)
    callbacks = [metrics, tensorboard, best, samples, progress]
    if "validation" in text.stores and config.training.patience:
        patience = config.training.patience
        callbacks.append(keras.callbacks.EarlyStopping(patience=patience))
    loop = Loop(
        model,
        sequences,
        config.training,
        _Evaluation(model, copy, text.stores.get("validation")),
        [*callbacks, *more_callbacks],
        Checkpoints(run.checkpoints, model, model.optimizer),
        run.row_parts,
    )
    progress.loop = loop
    return Session(run, text, model, loop, best)


class _Evaluation:
    """Brings the float32 copy up to date and scores it on validation."""

    def __init__(
        self,
        model: LanguageModel,
        copy: LanguageModel,
        store: TokenStore | None,
    ):
        self.model = model
        self.copy = copy
        self.scorer = Scorer(copy)
        self.lanes = None
        if store is not None:
            self.lanes = Lanes(store, _LANE_STEP, _LANES, _SEGMENT)

    def __call__(self) -> dict[str, float]:
        self.copy.set_weights(self.model.get_weights())
        if self.lanes is None:
            return {}
        score = self.scorer.score(self.lanes)
        return {
            "val_loss": score.nats_per_token,
            "val_bits_per_character": score.bits_per_character,
        }
