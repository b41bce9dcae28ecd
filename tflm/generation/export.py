"""SavedModels that take strings and give strings, with no need of tflm."""

import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tflm import writing
from tflm.generation.one_step import OneStep
from tflm.generation.settings import GenerationSettings
from tflm.generation.text_generator import TextGenerator
from tflm.models import LanguageModel, State
from tflm.tokenizers import Tokenizer

SETTINGS_FILE = "assets.extra/generation.json"


def export(
    model: LanguageModel,
    tokenizer: Tokenizer,
    directory: str | os.PathLike[str],
    settings: GenerationSettings | None = None,
    *,
    allow_end: bool = True,
) -> Path:
    """Writes a SavedModel as the next version in a folder.

    It computes in float32. Its signatures are `serving_default`, `generate`,
    `generate_one_step` and `initial_state`; once loaded in Python it also has
    the method `generate_one_step(inputs, states=None, ...)` of `OneStep`.

    Args:
        model: A `LanguageModel`.
        tokenizer: The `Tokenizer` of the model's ids.
        directory: Folder of the versions, 1, 2, ...; made if need be.
        settings: Optional `GenerationSettings` that hold where a call does not
            say it; they are kept in `assets.extra/generation.json`.
        allow_end: bool. False where training had no END target.

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
    ...     sorted(tf.saved_model.load(path).signatures)
    ['generate', 'generate_one_step', 'initial_state', 'serving_default']
    """
    one_step = OneStep(model, tokenizer, settings, allow_end=allow_end)
    generator = TextGenerator(
        one_step.model, tokenizer, one_step.settings, allow_end=allow_end
    )
    signatures = {
        "serving_default": _serving_default(generator),
        "generate": generator.texts,
        "generate_one_step": _flat_step(one_step),
        "initial_state": _initial_state(one_step),
    }
    path = Path(directory) / str(_next_version(Path(directory)))
    with writing.new_directory(path) as beside:
        tf.saved_model.save(_servable(one_step), beside, signatures)
        (beside / SETTINGS_FILE).parent.mkdir(exist_ok=True)
        values = one_step.settings.to_dict()
        writing.write_json(beside / SETTINGS_FILE, values)
    return path


def _servable(one_step: OneStep) -> tf.Module:
    """What is saved: not the Keras model, which would bring functions along."""
    servable = tf.Module()
    servable.weights = [variable.value for variable in one_step.model.variables]
    # A tokenizer with tables has to be tracked as the weights are.
    servable.tokenizer = one_step.tokenizer
    servable.generate_one_step = _tutorial_form(one_step)
    return servable


def _serving_default(generator: TextGenerator) -> Callable:
    """`generate` with the settings of the export."""
    prompt = generator.texts.input_signature[0]

    def serve(prompt: tf.Tensor) -> dict[str, tf.Tensor]:
        settings = generator.settings.to_dict()
        return generator.texts(prompt, **generator.tensors(settings))

    return tf.function(serve, input_signature=[prompt], autograph=False)


def _flat_step(one_step: OneStep) -> Callable:
    """The step with the states by name among its inputs and its outputs."""
    inputs, states, *settings = one_step.step.input_signature

    def flat(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        state = {name: tensors.pop(name) for name in states}
        outputs, state = one_step.step(states=state, **tensors)
        return {"outputs": outputs, **state}

    specs = {spec.name: spec for spec in (inputs, *settings)} | states
    return tf.function(flat, autograph=False).get_concrete_function(**specs)


def _initial_state(one_step: OneStep) -> Callable:
    batch_size = tf.TensorSpec([], tf.int32, "batch_size")
    return tf.function(
        one_step.initial_state, input_signature=[batch_size], autograph=False
    )


def _tutorial_form(one_step: OneStep) -> Callable:
    """`OneStep.generate_one_step` for Python that loads the export.

    A loaded function takes only what it was traced with. Numbers, and so the
    defaults too, are turned into the tensors of a trace, None is not: hence
    one trace for new rows and one for rows with states.
    """
    inputs, states, *specs = one_step.step.input_signature
    default = one_step.settings

    def generate_one_step(
        inputs: tf.Tensor,
        states: State | None = None,
        temperature: float = default.temperature,
        top_k: int = default.top_k,
        top_p: float = default.top_p,
        seed: int = default.seed,
    ) -> tuple[tf.Tensor, State]:
        if states is None:
            states = one_step.initial_state(tf.size(inputs))
        return one_step.step(inputs, states, temperature, top_k, top_p, seed)

    function = tf.function(generate_one_step, autograph=False)
    for given in (None, states):
        function.get_concrete_function(inputs, given, *specs)
    return function


def _next_version(directory: Path) -> int:
    names = [entry.name for entry in directory.glob("*")]
    versions = [int(name) for name in names if name.isdecimal()]
    return max(versions, default=0) + 1
