"""The signatures of an export: flat named tensors, B rows each."""

from collections.abc import Callable

import tensorflow as tf

from tflm import sampling
from tflm.generation.beam_generator import BeamGenerator
from tflm.generation.one_step import OneStep
from tflm.generation.text_generator import TextGenerator
from tflm.generation.text_scorer import TextScorer
from tflm.models import State


def signatures(
    one_step: OneStep,
    generator: TextGenerator,
    beams: BeamGenerator,
    scorer: TextScorer,
) -> dict[str, Callable]:
    """What TensorFlow Serving offers, by name.

    Args:
        one_step: Writes one token.
        generator: Writes whole texts.
        beams: Writes several texts side by side.
        scorer: Scores texts.

    Returns:
        `tf.function`s of one model, ready to be saved.
    """
    return {
        "serving_default": _serving_default(generator),
        "generate": generator.texts,
        "generate_one_step": _flat_step(one_step),
        "initial_state": _initial_state(one_step),
        "score": scorer.scores,
        "next_token_probabilities": scorer.following,
        "beam_search": _without_log_probs(beams.searches["likeliest"]),
        "multinomial_beam_search": beams.searches["multinomial"],
        "stochastic_beam_search": beams.searches["stochastic"],
    }


def tutorial_form(one_step: OneStep) -> Callable:
    """`OneStep.generate_one_step` for Python that loads the export.

    A loaded function takes only what it was traced with. Numbers, and so the
    defaults too, are turned into the tensors of a trace, None is not: hence
    one trace for new rows and one for rows with states.

    Args:
        one_step: Writes one token.

    Returns:
        A traced `tf.function`.
    """
    inputs, states, *specs = one_step.step.input_signature
    # The polymorphic one would be traced anew while it is saved.
    step = one_step.step.get_concrete_function()
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
        return step(inputs, states, temperature, top_k, top_p, seed)

    function = tf.function(generate_one_step, autograph=False)
    for given in (None, states):
        function.get_concrete_function(inputs, given, *specs)
    return function


def _serving_default(generator: TextGenerator) -> Callable:
    """`generate` with the settings of the export."""
    prompt = generator.texts.input_signature[0]

    def serve(prompt: tf.Tensor) -> dict[str, tf.Tensor]:
        settings = generator.settings.call
        return generator.texts(prompt, **generator.tensors(settings))

    return tf.function(serve, input_signature=[prompt], autograph=False)


def _without_log_probs(
    search: tf.types.experimental.PolymorphicFunction,
) -> Callable:
    def texts_and_scores(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        found = search(*tensors)
        return {name: found[name] for name in ("texts", "scores")}

    return tf.function(
        texts_and_scores,
        input_signature=search.input_signature,
        autograph=False,
    )


def _flat_step(one_step: OneStep) -> Callable:
    """The step with the states by name among its inputs and its outputs."""
    inputs, states, *settings = one_step.step.input_signature
    step = one_step.step.get_concrete_function()

    def flat(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        state = {name: tensors.pop(name) for name in states}
        outputs, state = step(states=state, **tensors)
        return {"outputs": outputs, **state}

    specs = {spec.name: spec for spec in (inputs, *settings)} | states
    return tf.function(flat, autograph=False).get_concrete_function(**specs)


def _initial_state(one_step: OneStep) -> Callable:
    batch_size = tf.TensorSpec([], tf.int32, "batch_size")

    def state(batch_size: tf.Tensor) -> State:
        rows = sampling.checked_rows(
            "batch_size", batch_size, 1, broadcast=False
        )
        return one_step.initial_state(rows)

    return tf.function(state, input_signature=[batch_size], autograph=False)
