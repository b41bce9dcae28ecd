"""An exported model, used as `TextGenerator` and `TextScorer` are."""

import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tflm import sampling, writing
from tflm.generation.export import LIBRARIES_FILE
from tflm.generation.reader import as_lists
from tflm.generation.streaming import stream
from tflm.generation_settings import GenerationSettings

_FILE = "saved_model.pb"


class SavedModel:
    """Writes and scores texts with a SavedModel, which needs nothing of tflm.

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
        self.path = path
        libraries = path / LIBRARIES_FILE
        if libraries.is_file():
            for library in writing.read_json(libraries):
                importlib.import_module(library)
        self.loaded = tf.saved_model.load(os.fspath(path))

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings
    ) -> list[str]:
        """Continues prompts; the texts are those of the model's run."""
        generated = self._signature("generate")(
            prompt=_tensor(prompts),
            **{
                name: sampling.as_tensor(name, value)
                for name, value in settings.call.items()
            },
        )
        return [text.decode() for text in generated["text"].numpy()]

    def beam_search(
        self,
        prompts: Sequence[str],
        *,
        settings: GenerationSettings | None = None,
        num_beams: int,
        length_penalty: float,
        method: str,
    ) -> dict[str, np.ndarray]:
        """Finds several continuations as `BeamGenerator.search` does."""
        values = {
            **(settings or GenerationSettings()).call,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
        }
        prefix = "" if method == "likeliest" else f"{method}_"
        search = self._signature(f"{prefix}beam_search")
        taken = search.structured_input_signature[1]
        found = search(
            prompt=_tensor(prompts),
            **{
                name: sampling.as_tensor(name, values[name])
                for name in taken
                if name != "prompt"
            },
        )
        return {name: tensor.numpy() for name, tensor in found.items()}

    def stream(
        self, prompt: str, settings: GenerationSettings
    ) -> Iterator[str]:
        """Continues a prompt piece by piece, see `stream`."""
        step = self.loaded.generate_one_step
        return stream(step, prompt, **settings.call)

    def score(self, texts: Sequence[str | bytes]) -> dict[str, tf.Tensor]:
        """Scores texts as `TextScorer.score` does, [B] each."""
        scorer = self._signature("score")
        return scorer(text=_tensor(texts))

    def unknown_bytes(self, texts: Sequence[str | bytes]) -> tf.Tensor:
        """Bytes of the texts that the vocabulary lacks, int64[B]."""
        self._signature("score")  # an export with the one has the other
        return self.loaded.unknown_bytes(_tensor(texts))

    def unknown_pieces(self, texts: Sequence[str | bytes]) -> list[list[str]]:
        """The pieces of each text that the vocabulary lacks."""
        if not hasattr(self.loaded, "unknown_pieces"):  # of an older export
            return [[] for _ in texts]
        return as_lists(self.loaded.unknown_pieces(_tensor(texts)))

    def next_token_probabilities(
        self, prompts: Sequence[str | bytes], k: int = 10
    ) -> dict[str, np.ndarray]:
        """Lists the likeliest next tokens as `TextScorer` does, [B,K]."""
        following = self._signature("next_token_probabilities")
        found = following(prompt=_tensor(prompts), k=sampling.as_tensor("k", k))
        return {name: tensor.numpy() for name, tensor in found.items()}

    def _signature(self, name: str) -> tf.types.experimental.GenericFunction:
        if name not in self.loaded.signatures:
            raise ValueError(
                f"`model` must be a SavedModel with the signature `{name}`: "
                "export the run again. "
                f"Received: model={os.fspath(self.path)!r}"
            )
        return self.loaded.signatures[name]


def is_saved_model(directory: str | os.PathLike[str]) -> bool:
    """Whether there is a SavedModel, or a folder of its versions."""
    return _newest_version(Path(directory)) is not None


def _tensor(texts: Sequence[str | bytes]) -> tf.Tensor:
    return tf.constant(list(texts), tf.string)


def _newest_version(directory: Path) -> Path | None:
    if (directory / _FILE).is_file():
        return directory
    versions = [
        path
        for path in directory.glob("*")
        if path.name.isdecimal() and (path / _FILE).is_file()
    ]
    return max(versions, key=lambda path: int(path.name), default=None)
