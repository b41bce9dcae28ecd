"""Keras callbacks that keep what a run leaves behind."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tflm import writing
from tflm.generation import TextGenerator
from tflm.models import LanguageModel


class MetricsFile(keras.callbacks.Callback):
    """Appends each log step and each evaluation to a file of JSON lines.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]):
        super().__init__()
        self.path = Path(path)

    def on_log(self, step: int, logs: dict[str, float]) -> None:
        """Writes the figures of a log step."""
        self._append({"step": step, **logs})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the figures of an evaluation."""
        figures = dict(logs or {})
        self._append({"step": _step(figures), **figures})

    def on_restore(self, step: int) -> None:
        """Drops what was written after the checkpoint that a run resumes."""
        if not self.path.exists():
            return
        kept = [e for e in read_metrics(self.path) if e["step"] <= step]
        lines = "".join(json.dumps(entry) + "\n" for entry in kept)
        writing.write_text(self.path, lines)

    def _append(self, entry: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The objects of a `MetricsFile`; a torn last line is left out."""
    entries = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


class TensorBoardLog(keras.callbacks.Callback):
    """Scalars of log steps and evaluations for TensorBoard.

    Args:
        directory: Folder of the event files.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        super().__init__()
        self.writer = tf.summary.create_file_writer(os.fspath(directory))

    def on_log(self, step: int, logs: dict[str, float]) -> None:
        """Writes the figures of a log step."""
        self._write(step, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the figures of an evaluation."""
        figures = dict(logs or {})
        self._write(_step(figures), figures)

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the file."""
        self.writer.close()

    def _write(self, step: int, figures: dict[str, float]) -> None:
        with self.writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        self.writer.flush()


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights with the lowest validation loss in a `.keras` file.

    Without a validation split the newest weights are kept.

    Args:
        model: The float32 model whose weights are written.
        path: The file; it is written beside and renamed.
    """

    def __init__(self, model: LanguageModel, path: str | os.PathLike[str]):
        super().__init__()
        self.kept = model
        self.path = Path(path)
        self.best = float("inf")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the weights if they are the best so far."""
        loss = (logs or {}).get("val_loss", -float("inf"))
        if loss < self.best or not self.path.exists():
            self.best = max(loss, -1e30)
            self.write()

    def write(self) -> None:
        """Writes the weights as they are now."""
        with writing.new_file(self.path) as beside, warnings.catch_warnings():
            # Keras converts tensors in a way that NumPy 2 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.kept.save(beside)


class Samples(keras.callbacks.Callback):
    """Writes a continuation of one fixed prompt at each evaluation.

    Args:
        generator: Of the model in training, or of a copy kept up to date.
        prompt: str. What is continued.
        directory: Folder of the texts, one file an evaluation.
        tensorboard: Optional `TensorBoardLog` that shows them too.
    """

    def __init__(
        self,
        generator: TextGenerator,
        prompt: str,
        directory: str | os.PathLike[str],
        tensorboard: TensorBoardLog | None = None,
    ):
        super().__init__()
        self.generator = generator
        self.prompt = prompt
        self.directory = Path(directory)
        self.tensorboard = tensorboard
        self.text = ""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Samples, and keeps the text."""
        step = _step(dict(logs or {}))
        generated = self.generator.generate(
            self.prompt, temperature=0.8, max_new_tokens=200, seed=0
        )
        self.text = generated["text"].numpy().decode()
        path = self.directory / f"step_{step:08d}.txt"
        path.write_text(self.text + "\n", encoding="utf-8")
        if self.tensorboard is not None:
            with self.tensorboard.writer.as_default(step=step):
                tf.summary.text("sample", self.text)


def _step(figures: dict[str, Any]) -> int:
    """Takes the step, which Keras has made a float, out of the figures."""
    return int(figures.pop("step"))
