"""A trained model with all that is needed to use it."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

from tflm import config as configuration
from tflm import models
from tflm.generation import GenerationSettings, OneStep, TextGenerator, export
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
    config = directory.config
    model = models.build(config.model, tokenizer.vocabulary_size)
    model.load_weights(directory.model)
    return TrainedModel(
        model,
        tokenizer,
        config,
        directory.facts["end_is_generated"],
        directory.path.resolve().name,
    )
