"""SavedModels that take strings and give strings, with no need of tflm."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tflm import writing
from tflm.generation.beam_generator import BeamGenerator
from tflm.generation.one_step import OneStep
from tflm.generation.signatures import signatures, tutorial_form
from tflm.generation.text_generator import TextGenerator
from tflm.generation.text_scorer import TextScorer
from tflm.generation_settings import GenerationSettings
from tflm.models import LanguageModel
from tflm.tokenizers import Tokenizer

SETTINGS_FILE = "assets.extra/generation.json"
# What has to be imported before TensorFlow loads the export.
LIBRARIES_FILE = "assets.extra/op_libraries.json"
_MOST_NEW_TOKENS = 10_000
_MOST_PROMPT_BYTES = 100_000


def export(
    model: LanguageModel,
    tokenizer: Tokenizer,
    directory: str | os.PathLike[str],
    settings: GenerationSettings | None = None,
    *,
    allow_end: bool = True,
    check: Callable[[Path, TextGenerator, TextScorer], object] | None = None,
) -> Path:
    """Writes a SavedModel as the next version in a folder.

    It computes in the `precision` of the settings. Its signatures are
    `serving_default` and `generate` of `TextGenerator`, `generate_one_step` and
    `initial_state` of `OneStep`, `score` and `next_token_probabilities` of
    `TextScorer`, `beam_search` and its two kinds that draw of `BeamGenerator`.
    Once loaded in Python it also has the methods
    `generate_one_step(inputs, states=None, ...)` of `OneStep`, and
    `unknown_bytes(text)` and `unknown_pieces(text)` of the tokenizer. With
    subwords or a normal form it has operations of `tensorflow_text`, which has
    to be imported before it is loaded, and which TensorFlow Serving has;
    `assets.extra/op_libraries.json` says so.

    Args:
        model: A `LanguageModel`.
        tokenizer: The `Tokenizer` of the model's ids.
        directory: Folder of the versions, 1, 2, ...; made if need be.
        settings: Optional `GenerationSettings` that hold where a call does not
            say it; they are kept in `assets.extra/generation.json`. Where
            they set no `max_new_tokens_limit` it is 10,000, and where they
            set no `prompt_bytes_limit` it is 100,000: whoever asks a server
            for more would have it busy for minutes. Texts to score may be of
            any length.
        allow_end: bool. False where training had no END target.
        check: Optional, called with the folder that is still to take its name
            and with what writes and scores texts as it should; if it raises,
            nothing is left.

    Returns:
        Path of the new version.

    Raises:
        ValueError: If model and tokenizer differ in the number of ids.

    Example:
    >>> import tempfile
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Characters
    >>> tokenizer = Characters("abc")
    >>> model = GRU(vocabulary_size=tokenizer.vocabulary_size, units=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export(model, tokenizer, folder)
    ...     loaded = tf.saved_model.load(path)
    >>> scored = loaded.signatures["score"](tf.constant(["abc", ""]))
    >>> scored["num_tokens"].numpy()
    array([3, 0], dtype=int32)
    """
    settings = _limited(settings or GenerationSettings())
    one_step = OneStep(model, tokenizer, settings, allow_end=allow_end)
    generator, beams = (
        kind(
            one_step.model,
            tokenizer,
            settings,
            allow_end=allow_end,
            reads_as=one_step,
        )
        for kind in (TextGenerator, BeamGenerator)
    )
    scorer = TextScorer(
        one_step.model,
        tokenizer,
        allow_end=allow_end,
        prompt_bytes_limit=settings.prompt_bytes_limit,
        precision=settings.precision,
        reads_as=one_step,
    )
    offered = signatures(one_step, generator, beams, scorer)
    path = Path(directory) / str(_next_version(Path(directory)))
    with writing.new_directory(path) as beside:
        tf.saved_model.save(_servable(one_step), beside, offered)
        (beside / SETTINGS_FILE).parent.mkdir(exist_ok=True)
        values = one_step.settings.to_dict()
        writing.write_json(beside / SETTINGS_FILE, values)
        libraries = list(tokenizer.op_libraries)
        writing.write_json(beside / LIBRARIES_FILE, libraries)
        if check is not None:
            check(beside, generator, scorer)
    return path


def _limited(settings: GenerationSettings) -> GenerationSettings:
    tokens = settings.max_new_tokens_limit
    if tokens is None:
        tokens = max(_MOST_NEW_TOKENS, settings.max_new_tokens)
    size = settings.prompt_bytes_limit
    return dataclasses.replace(
        settings,
        max_new_tokens_limit=tokens,
        prompt_bytes_limit=_MOST_PROMPT_BYTES if size is None else size,
    )


def _servable(one_step: OneStep) -> tf.Module:
    """What is saved: not the Keras model, which would bring functions along."""
    servable = tf.Module()
    servable.weights = [variable.value for variable in one_step.model.variables]
    # A tokenizer with tables has to be tracked as the weights are.
    servable.tokenizer = one_step.tokenizer
    servable.generate_one_step = tutorial_form(one_step)
    for name in ("unknown_bytes", "unknown_pieces"):
        function = tf.function(
            getattr(one_step.tokenizer, name),
            input_signature=[tf.TensorSpec([None], tf.string, "text")],
            autograph=False,
        )
        setattr(servable, name, function)
    return servable


def _next_version(directory: Path) -> int:
    names = [entry.name for entry in directory.glob("*")]
    versions = [int(name) for name in names if name.isdecimal()]
    return max(versions, default=0) + 1
