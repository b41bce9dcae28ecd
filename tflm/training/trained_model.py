"""A trained model with all that is needed to use it."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tflm import config as configuration
from tflm.generation import (
    GenerationSettings,
    OneStep,
    TextGenerator,
    TextScorer,
    export,
)
from tflm.models import LanguageModel
from tflm.tokenizers import Tokenizer
from tflm.training.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with all that is needed to use it.

    Attributes:
        model: The best weights of the run, in float32.
        tokenizer: The tokenizer of its ids.
        config: The settings that it was trained with.
        allow_end: Whether it has learnt where texts end.
        name: The run's name.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    config: configuration.Config
    allow_end: bool
    name: str

    def generate(self, prompts: Any = "", **settings: Any) -> Any:
        """Continues a prompt or a list of them.

        Args:
            prompts: str, or list of str. Default "": a new text.
            **settings: `max_new_tokens`, `temperature`, `top_k`, `top_p` and
                `seed`, see `tflm.generation.TextGenerator.generate`.

        Returns:
            The text, prompt and continuation: str, or a list of str.
        """
        texts = self.generator.generate(prompts, **settings)["text"].numpy()
        if isinstance(texts, bytes):
            return texts.decode()
        return [text.decode() for text in texts]

    def score(self, texts: Any) -> dict[str, Any]:
        """Tells how likely texts are.

        Args:
            texts: str, or list of str.

        Returns:
            NumPy values by name, `log_prob` (nats), `num_tokens` and
            `num_bytes`, see `tflm.generation.TextScorer.score`.
        """
        return _numpy(self.scorer.score(texts))

    def next_token_probabilities(
        self, prompts: Any = "", k: Any = 10
    ) -> dict[str, Any]:
        """Lists the likeliest next tokens.

        Args:
            prompts: str, or list of str. Default "": a text's start.
            k: int, or one for each prompt. Default 10.

        Returns:
            NumPy arrays by name, `tokens` and `probabilities`, see
            `tflm.generation.TextScorer.next_token_probabilities`.
        """
        return _numpy(self.scorer.next_token_probabilities(prompts, k))

    @functools.cached_property
    def generator(self) -> TextGenerator:
        """The loop that writes whole texts."""
        return TextGenerator(
            self.model, self.tokenizer, allow_end=self.allow_end
        )

    @functools.cached_property
    def one_step(self) -> OneStep:
        """The step that writes one token and gives the state back."""
        return OneStep(self.model, self.tokenizer, allow_end=self.allow_end)

    @functools.cached_property
    def scorer(self) -> TextScorer:
        """What tells how likely any text is."""
        return TextScorer(self.model, self.tokenizer, allow_end=self.allow_end)

    def export(
        self,
        directory: str | os.PathLike[str],
        settings: GenerationSettings | None = None,
    ) -> Path:
        """Writes a SavedModel as the next version in a folder."""
        return export(
            self.model,
            self.tokenizer,
            directory,
            settings,
            allow_end=self.allow_end,
        )


def load(run: str | os.PathLike[str]) -> TrainedModel:
    """Loads the model of a run; it needs nothing but the run's directory.

    Args:
        run: The directory of a run.

    Returns:
        The `TrainedModel`, its weights the best of the run.

    Raises:
        FileNotFoundError: If there is no run, or if it has no weights yet.

    Example:
        model = tflm.load("runs/python_docs-gru")
        print(model.generate("The ", temperature=0.8, max_new_tokens=200))
    """
    directory = RunDirectory.open(run)
    if not directory.model.is_file():
        raise FileNotFoundError(
            "`run` must hold weights; they come with the first evaluation. "
            f"Received: run={os.fspath(run)!r}, without {directory.model.name}"
        )
    tokenizer = directory.tokenizer
    model = keras.saving.load_model(directory.model, compile=False)
    return TrainedModel(
        model,
        tokenizer,
        directory.config,
        directory.facts["end_is_generated"],
        directory.path.resolve().name,
    )


def _numpy(tensors: dict[str, tf.Tensor]) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
