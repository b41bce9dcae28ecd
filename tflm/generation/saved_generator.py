"""An exported model, used as `TextGenerator` is."""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from tflm.generation.settings import GenerationSettings

_FILE = "saved_model.pb"


class SavedGenerator:
    """Writes texts with a SavedModel, which needs nothing of tflm.

    Args:
        directory: A version's folder, or the folder of the versions, of which
            the newest is taken.

    Raises:
        FileNotFoundError: If there is no SavedModel.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        path = _newest_version(Path(directory))
        if path is None:
            raise FileNotFoundError(
                "`directory` must hold a SavedModel. "
                f"Received: directory={os.fspath(directory)!r}"
            )
        self.loaded = tf.saved_model.load(os.fspath(path))

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings
    ) -> list[str]:
        """Continues prompts; the texts are those of the model's run."""
        generated = self.loaded.signatures["generate"](
            prompt=tf.constant(list(prompts)),
            **{
                name: tf.constant(
                    value, tf.float32 if isinstance(value, float) else tf.int32
                )
                for name, value in settings.to_dict().items()
            },
        )
        return [text.decode() for text in generated["text"].numpy()]


def is_saved_model(directory: str | os.PathLike[str]) -> bool:
    """Whether there is a SavedModel, or a folder of its versions."""
    return _newest_version(Path(directory)) is not None


def _newest_version(directory: Path) -> Path | None:
    if (directory / _FILE).is_file():
        return directory
    versions = [
        path
        for path in directory.glob("*")
        if path.name.isdecimal() and (path / _FILE).is_file()
    ]
    return max(versions, key=lambda path: int(path.name), default=None)
