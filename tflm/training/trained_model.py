"""A trained model with all that is needed to use it."""

import dataclasses
import functools
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tflm import config as configuration
from tflm import serving
from tflm.generation import (
    BeamGenerator,
    Choice,
    ChoiceTable,
    GenerationSettings,
    OneStep,
    TextGenerator,
    TextScorer,
    as_lists,
    export,
    stream,
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
            **settings: Any of `tflm.generation.GenerationSettings`.

        Returns:
            The text, prompt and continuation: str, or a list of str.
        """
        call, fixed = _divided(settings)
        generator = self._made(TextGenerator, fixed)
        texts = generator.generate(prompts, **call)["text"].numpy()
        if isinstance(texts, bytes):
            return texts.decode()
        return [text.decode() for text in texts]

    def beam_search(self, prompts: Any = "", **settings: Any) -> dict[str, Any]:
        """Finds several continuations of a prompt or of each of a list.

        Args:
            prompts: str, or list of str. Default "": new texts.
            **settings: `num_beams`, `length_penalty`, `method` and any of
                `tflm.generation.GenerationSettings`.

        Returns:
            NumPy arrays by name, `texts`, `scores` and `log_probs`, see
            `tflm.generation.BeamGenerator.search`.
        """
        call, fixed = _divided(settings)
        generator = self._made(BeamGenerator, fixed)
        return _numpy(generator.search(prompts, **call))

    def stream(self, prompt: str = "", **settings: Any) -> Iterator[str]:
        """Continues a prompt piece by piece, see `tflm.generation.stream`.

        Args:
            prompt: str. Default "": a new text.
            **settings: Any of `tflm.generation.GenerationSettings`.
        """
        call, fixed = _divided(settings)
        one_step = self._made(OneStep, fixed)
        call = {**one_step.settings.call, **call}
        return stream(one_step.generate_one_step, prompt, **call)

    def choices(
        self, prompt: str | bytes = "", k: int = 10, **settings: Any
    ) -> tuple[str, list[list[Choice]]]:
        """Writes a text; tells what was likely at each of its tokens.

        Args:
            prompt: str. Default "": a new text.
            k: int. How many of the likeliest. Default 10.
            **settings: Any of `tflm.generation.GenerationSettings`.

        Returns:
            See `tflm.generation.ChoiceTable.choices`.
        """
        call, fixed = _divided(settings)
        return self._made(ChoiceTable, fixed).choices(prompt, k, **call)

    def unknown_pieces(self, texts: Any) -> list[list[str]]:
        """The pieces of each text of a list that the vocabulary lacks."""
        return as_lists(self.tokenizer.unknown_pieces(tf.constant(texts)))

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

    @property
    def generator(self) -> TextGenerator:
        """The loop that writes whole texts."""
        return self._made(TextGenerator, ())

    @property
    def one_step(self) -> OneStep:
        """The step that writes one token and gives the state back."""
        return self._made(OneStep, ())

    def _made(self, kind: Any, fixed: tuple[tuple[str, Any], ...]) -> Any:
        """A generator with fixed settings, made and traced once."""
        key = (kind, fixed)
        if key not in self._generators:
            settings = GenerationSettings(**dict(fixed))
            self._generators[key] = kind(
                self.model, self.tokenizer, settings, allow_end=self.allow_end
            )
        return self._generators[key]

    @functools.cached_property
    def _generators(self) -> dict[Any, Any]:
        return {}

    @functools.cached_property
    def scorer(self) -> TextScorer:
        """What tells how likely any text is."""
        return TextScorer(self.model, self.tokenizer, allow_end=self.allow_end)

    def export(
        self,
        directory: str | os.PathLike[str],
        settings: GenerationSettings | None = None,
        *,
        proven: bool = False,
    ) -> Path:
        """Writes a SavedModel as the next version in a folder.

        Args:
            directory: Folder of the versions.
            settings: Optional `GenerationSettings` of the export.
            proven: Whether it has to prove itself first, see `serving.prove`,
                which takes some seconds, and gets all that TensorFlow Serving
                takes beside it. Default False.
        """

        def check(
            beside: Path, generator: TextGenerator, scorer: TextScorer
        ) -> None:
            serving.prove(beside, generator, scorer)
            serving.write_warm_up(beside, name, generator.settings)
            serving.write_operator_files(
                Path(directory), name, generator.settings
            )

        name = Path(directory).resolve().name
        return export(
            self.model,
            self.tokenizer,
            directory,
            settings,
            allow_end=self.allow_end,
            check=check if proven else None,
        )


def load(run: str | os.PathLike[str]) -> TrainedModel:
    """Loads the model of a run; it needs nothing but the run's directory.

    Args:
        run: The directory of a run.

    Returns:
        The `TrainedModel`, its weights the best of the run.

    Raises:
        FileNotFoundError: If there is no run, or if it has no weights yet.
        ValueError: If one of its files is damaged.

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
    if not zipfile.is_zipfile(directory.model):  # cut short, as a rule
        raise ValueError(
            "`run` must hold weights as they were written. Received: "
            f"run={os.fspath(run)!r}, whose {directory.model.name} is "
            "damaged. Delete that file, and go on with --resume"
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


def _divided(
    settings: dict[str, Any],
) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    """The settings of a call, and those that make a generator, if not usual."""
    usual = GenerationSettings()
    fixed = {
        name: settings[name]
        for name in GenerationSettings.names()
        if name in settings and name not in usual.call
    }
    made = GenerationSettings(**fixed)
    unusual = {
        name: getattr(made, name)
        for name in fixed
        if getattr(made, name) != getattr(usual, name)
    }
    call = {n: value for n, value in settings.items() if n not in fixed}
    return call, tuple(unusual.items())


def _numpy(tensors: dict[str, tf.Tensor]) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
