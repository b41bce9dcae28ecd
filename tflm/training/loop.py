"""The training loop: optimizer steps that Keras callbacks look on."""

import contextlib
import dataclasses
import inspect
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tflm.config import TrainingConfig
from tflm.models import LanguageModel
from tflm.pipelines import Sequences
from tflm.training import schedule
from tflm.training.checkpoints import Checkpoints
from tflm.training.train_step import TrainStep

FINISHED, OUT_OF_TIME, STOPPED, INTERRUPTED = (
    "finished",
    "out of time",
    "stopped early",
    "interrupted",
)


@dataclasses.dataclass
class Progress:
    """How far a run has come; all of it is in every checkpoint."""

    step: int = 0  # optimizer steps taken
    rounds: int = 0  # evaluations made, an "epoch" to Keras callbacks
    evaluated: int = 0  # step of the last one
    seconds: float = 0.0  # spent in training
    nats: float = 0.0  # since the last log
    tokens: float = 0.0  # since the last log
    # For the speed, since the last log: steps only, the first left out.
    timed_tokens: float = 0.0
    timed_seconds: float = 0.0
    learning_rate: float = 0.0  # of the step last taken
    rate_factor: float = 1.0  # what callbacks have made of the schedule


class Loop:
    """Trains a model step by step, and can go on from any step.

    Keras callbacks see a batch at each step and an epoch at each evaluation.
    The model must be compiled with its optimizer, which most callbacks use.
    Where one changes the learning rate, as ReduceLROnPlateau does, the
    schedule goes on in proportion.

    Args:
        model: The compiled `LanguageModel`.
        sequences: The training data. Where its rows go on from batch to
            batch, the loop carries the model's state across.
        settings: Bounds, learning rate, how often to evaluate and to log.
        evaluate: Called at each evaluation; gives figures by name for the
            callbacks, such as `val_loss`.
        callbacks: Keras callbacks. Their methods `on_log(step, logs)` and
            `on_restore(step)`, where they have them, are called at each log
            step and where a run goes on.
        checkpoints: Where the run is kept.
        parts: int. Parts of a batch's rows, see `TrainStep`. Default 1.
    """

    def __init__(
        self,
        model: LanguageModel,
        sequences: Sequences,
        settings: TrainingConfig,
        evaluate: Callable[[], dict[str, float]],
        callbacks: list[keras.callbacks.Callback],
        checkpoints: Checkpoints,
        parts: int = 1,
    ):
        self.model = model
        self.optimizer = model.optimizer
        self.sequences = sequences
        self.settings = settings
        self.evaluate = evaluate
        self.callbacks = keras.callbacks.CallbackList(callbacks, model=model)
        self.checkpoints = checkpoints
        self.progress = Progress()
        self._last_tick: float | None = None
        self.total_steps = total_steps(sequences, settings)
        self.evaluate_every = evaluate_every(sequences, settings)
        self.train_step = TrainStep(model, sequences, parts)
        if self.train_step.carried:
            self.checkpoints.add(self.train_step.carried.values())

    def run(self, resume: bool = False) -> str:
        """Trains to the first bound.

        Args:
            resume: bool. Whether to go on from the newest whole checkpoint,
                if there is one. Default False.

        Returns:
            Why it ended: "finished", "out of time", "stopped early", or
            "interrupted" (Ctrl-C or SIGTERM; a second one ends at once).

        Raises:
            FloatingPointError: If the loss is no longer a finite number.
        """
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        if resume:
            self._restore()
        with _interrupts() as interrupts:
            reason = self._steps(interrupts)
        if reason == INTERRUPTED:
            self._save()
        elif self.progress.step != self.progress.evaluated:
            self._round()
        self.callbacks.on_train_end()
        return reason

    def part_done(self) -> float:
        """The part of the run that is behind it, by the nearest bound."""
        parts = [0.0]
        if self.total_steps is not None:
            parts.append(self.progress.step / self.total_steps)
        if self.settings.max_minutes is not None:
            parts.append(
                self.progress.seconds / (60 * self.settings.max_minutes)
            )
        return max(parts)

    def _steps(self, interrupts: list[int]) -> str:
        progress = self.progress
        batches = self.train_step.batches(
            self.sequences.dataset(progress.step, self.settings.epochs)
        )
        last = math.inf if self.total_steps is None else self.total_steps
        begins = True
        while True:
            if interrupts:
                return INTERRUPTED
            if self.model.stop_training:
                return STOPPED
            if progress.step >= last:
                return FINISHED
            if self.part_done() >= 1:
                return OUT_OF_TIME
            if begins:
                self.callbacks.on_epoch_begin(progress.rounds)
            self._step(next(batches))
            if progress.step % self.settings.log_every == 0:
                self._log()
            begins = progress.step % self.evaluate_every == 0
            if begins:
                self._round()

    def _step(self, batch: Any) -> None:
        self.callbacks.on_train_batch_begin(self.progress.step)
        self._set_learning_rate()
        nats, tokens = (float(sum_) for sum_ in self.train_step(*batch))
        self.progress.step += 1
        self.progress.nats += nats
        self.progress.tokens += tokens
        elapsed = self._tick()
        if elapsed:
            self.progress.timed_tokens += tokens
            self.progress.timed_seconds += elapsed
        self._check_finite(nats)
        logs = {"loss": nats / max(tokens, 1.0)}
        self.callbacks.on_train_batch_end(self.progress.step - 1, logs)

    def _set_learning_rate(self) -> None:
        progress, optimizer = self.progress, self.optimizer
        found = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        if progress.learning_rate and found != progress.learning_rate:
            # A callback has changed it since the last step.
            progress.rate_factor *= found / progress.learning_rate
        rate = np.float32(self.learning_rate())  # as the optimizer holds it
        optimizer.learning_rate = progress.learning_rate = float(rate)

    def learning_rate(self) -> float:
        """The learning rate of the step that comes next."""
        return self.progress.rate_factor * schedule.learning_rate(
            self.settings.learning_rate,
            self.settings.warmup_steps,
            self.settings.schedule,
            self.progress.step,
            self.part_done(),
        )

    def _log(self) -> None:
        progress = self.progress
        logs = {
            "epoch": self.sequences.epoch(progress.step),
            "loss": progress.nats / max(progress.tokens, 1.0),
            "learning_rate": progress.learning_rate,
            "tokens_per_second": progress.timed_tokens
            / max(progress.timed_seconds, 1e-9),
            "seconds": progress.seconds,
        }
        progress.nats = progress.tokens = 0.0
        progress.timed_tokens = progress.timed_seconds = 0.0
        self._tell("on_log", progress.step, logs)

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {self.progress.step}: try a "
                "lower --learning_rate, more --warmup_steps, a lower "
                "--clipnorm or --precision float32"
            )

    def _tell(self, event: str, *args: Any) -> None:
        """Calls the callbacks that know an event which Keras has not."""
        for callback in self.callbacks.callbacks:
            if hasattr(callback, event):
                getattr(callback, event)(*args)

    def _round(self) -> None:
        """Evaluates, tells the callbacks, and writes a checkpoint."""
        logs = {"step": self.progress.step, **self.evaluate()}
        # The last step may have spoilt the weights: they are not kept.
        self._check_finite(logs.get("val_loss", 0.0))
        self.callbacks.on_epoch_end(self.progress.rounds, logs)
        self.progress.rounds += 1
        self.progress.evaluated = self.progress.step
        self._tick()
        self._save()

    def _save(self) -> None:
        state = {
            "progress": dataclasses.asdict(self.progress),
            "callbacks": {
                name: _scalars(callback)
                for name, callback in self._named_callbacks().items()
            },
        }
        self.checkpoints.save(self.progress.step, state)

    def _restore(self) -> None:
        state = self.checkpoints.restore()
        if state is not None:
            self.progress = Progress(**state["progress"])
            for name, callback in self._named_callbacks().items():
                vars(callback).update(state["callbacks"].get(name, {}))
        self._tell("on_restore", self.progress.step)

    def _named_callbacks(self) -> dict[str, keras.callbacks.Callback]:
        """By place and class: a run may go on with more of them or fewer."""
        return {
            f"{place} {type(callback).__name__}": callback
            for place, callback in enumerate(self.callbacks.callbacks)
        }

    def _tick(self) -> float:
        """Adds the time since the last tick to the run's, and returns it.

        The first step's time is left out: most of it is tracing.
        """
        now = time.monotonic()
        elapsed = now - (self._last_tick or now)
        self._last_tick = now
        self.progress.seconds += elapsed
        return elapsed


def total_steps(sequences: Sequences, settings: TrainingConfig) -> int | None:
    """Steps to the nearer of the bounds by epochs and by steps, if any."""
    bounds = [] if settings.max_steps is None else [settings.max_steps]
    if settings.epochs is not None:
        bounds.append(sequences.steps(settings.epochs))
    return min(bounds, default=None)


def evaluate_every(sequences: Sequences, settings: TrainingConfig) -> int:
    """Steps between evaluations: as set, else an epoch within 50 to 1,000."""
    if settings.evaluate_every is not None:
        return settings.evaluate_every
    return int(np.clip(sequences.steps(1), 50, 1000))


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that the first Ctrl-C or SIGTERM appends to; a second raises."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {number: signal.signal(number, receive) for number in signals}
    except ValueError:  # not in the main thread, where no signal arrives
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _scalars(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """The numbers and flags by which a callback decides."""
    # Keras's own are made with their settings, of which it changes some when
    # training begins: the sign of `min_delta`.
    settings = {
        name
        for kind in type(callback).__mro__
        if kind.__module__.startswith("keras.")
        for name in inspect.signature(kind).parameters
    }
    values = {}
    for name, value in vars(callback).items():
        # What begins so is of this process, such as its terminal.
        if name.startswith("_") or name in settings:
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, (bool, int, float)):
            values[name] = value
    return values
