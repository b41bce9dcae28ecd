import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.generation.conftest import (
    EXPORT_SETTINGS,
    PROMPTS,
    TYPES,
    VOCABULARY,
    one_by_one,
    tensors,
    texts,
    weights_of,
)

STATES = {
    "layer_0_hidden": tf.TensorSpec([None, 12], tf.float32),
    "position": tf.TensorSpec([None], tf.int32),
    "last_id": tf.TensorSpec([None], tf.int32),
}


def rows_of(batch_size):
    """Prompts, settings [B] and the texts that the reference expects."""
    rows = np.arange(batch_size)
    settings = {
        "max_new_tokens": rows % 9,
        "temperature": np.array([0.0, 0.5, 1.0, 1.7])[rows % 4],
        "top_k": rows % 5,
        "top_p": np.array([0.6, 1.0, 0.9])[rows % 3],
        "seed": rows * 13 + 1,
    }
    return [PROMPTS[row % len(PROMPTS)] for row in rows], settings


def expected(model, prompts, settings):
    """Completions and reasons of the reference, with settings [B]."""
    weights = weights_of(model)
    rows = []
    for row, prompt in enumerate(prompts):
        own = {name: values[row].item() for name, values in settings.items()}
        rows.append(
            reference.generate(
                reference.gru, weights, VOCABULARY, prompt, **own
            )
        )
    return zip(*rows, strict=True)


def as_rows(settings, batch_size):
    """Settings [B] from scalars, as they are specified."""
    rows = {
        name: np.full(batch_size, value) for name, value in settings.items()
    }
    rows["seed"] = settings["seed"] + np.arange(batch_size)
    return rows


def test_signatures_have_their_names_and_types(loaded):
    prompt = {"prompt": tf.TensorSpec([None], tf.string)}
    settings = {
        name: tf.TensorSpec(None, type_) for name, type_ in TYPES.items()
    }
    step_settings = dict(settings)
    del step_settings["max_new_tokens"]
    strings = tf.TensorSpec([None], tf.string)
    texts = {
        "text": strings,
        "completion": strings,
        "completion_bytes": strings,
        "num_tokens": tf.TensorSpec([None], tf.int32),
        "finish_reason": strings,
    }
    table = {
        "serving_default": (prompt, texts),
        "generate": (prompt | settings, texts),
        "generate_one_step": (
            {"inputs": strings} | STATES | step_settings,
            {"outputs": strings} | STATES,
        ),
        "initial_state": ({"batch_size": tf.TensorSpec([], tf.int32)}, STATES),
        "score": (
            {"text": strings},
            {
                "log_prob": tf.TensorSpec([None], tf.float32),
                "num_tokens": tf.TensorSpec([None], tf.int32),
                "num_bytes": tf.TensorSpec([None], tf.int32),
            },
        ),
        "next_token_probabilities": (
            prompt | {"k": tf.TensorSpec(None, tf.int32)},
            {
                "tokens": tf.TensorSpec([None, None], tf.string),
                "probabilities": tf.TensorSpec([None, None], tf.float32),
            },
        ),
    }
    beams = {
        "num_beams": tf.TensorSpec(None, tf.int32),
        "max_new_tokens": tf.TensorSpec(None, tf.int32),
        "length_penalty": tf.TensorSpec(None, tf.float32),
    }
    found = {
        "texts": tf.TensorSpec([None, None], tf.string),
        "scores": tf.TensorSpec([None, None], tf.float32),
    }
    table["beam_search"] = (prompt | beams, found)
    found = found | {"log_probs": found["scores"]}
    for method in ("multinomial", "stochastic"):
        table[f"{method}_beam_search"] = (
            prompt | beams | step_settings,
            found,
        )
    assert set(loaded.signatures) == set(table)
    for name, (inputs, outputs) in table.items():
        signature = loaded.signatures[name]
        assert _nameless(signature.structured_input_signature[1]) == inputs
        assert _nameless(signature.structured_outputs) == outputs


def _nameless(specs):
    return {
        name: tf.TensorSpec(spec.shape, spec.dtype)
        for name, spec in specs.items()
    }


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_generate_with_settings_by_row(loaded, model, batch_size):
    prompts, settings = rows_of(batch_size)
    completions, reasons = expected(model, prompts, settings)
    generated = loaded.signatures["generate"](
        prompt=tf.constant(prompts), **tensors(settings)
    )
    assert texts(generated["completion"]) == list(completions)
    assert texts(generated["completion_bytes"]) == list(completions)
    joined = [a + b for a, b in zip(prompts, completions, strict=True)]
    assert texts(generated["text"]) == joined
    assert generated["num_tokens"].numpy().tolist() == [*map(len, completions)]
    assert texts(generated["finish_reason"]) == list(reasons)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_generate_with_scalar_settings(loaded, model, batch_size):
    prompts, _ = rows_of(batch_size)
    settings = {**EXPORT_SETTINGS.call, "seed": 99, "max_new_tokens": 5}
    completions, _ = expected(model, prompts, as_rows(settings, batch_size))
    generated = loaded.signatures["generate"](
        prompt=tf.constant(prompts), **tensors(settings)
    )
    assert texts(generated["completion"]) == list(completions)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_serving_default_has_the_settings_of_the_export(
    loaded, model, batch_size
):
    prompts, _ = rows_of(batch_size)
    settings = as_rows(EXPORT_SETTINGS.call, batch_size)
    completions, reasons = expected(model, prompts, settings)
    served = loaded.signatures["serving_default"](tf.constant(prompts))
    assert texts(served["completion"]) == list(completions)
    assert texts(served["finish_reason"]) == list(reasons)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("scalar", [True, False])
def test_one_step_in_a_loop(loaded, model, batch_size, scalar):
    prompts, settings = rows_of(batch_size)
    if scalar:
        settings = {"temperature": 0.9, "top_k": 7, "top_p": 0.9, "seed": 20}
        rows = as_rows(settings, batch_size)
    else:
        del settings["max_new_tokens"]
        rows = settings
    rows = {**rows, "max_new_tokens": np.full(batch_size, 5)}
    completions, _ = expected(model, prompts, rows)
    joined = one_by_one(loaded, prompts, settings, steps=5)
    assert texts(joined) == list(completions)


def test_initial_state_is_zeros(loaded):
    for name, tensor in loaded.signatures["initial_state"](
        batch_size=tf.constant(3)
    ).items():
        assert tensor.shape == (3, *STATES[name].shape[1:])
        assert not tensor.numpy().any()


def test_loop_with_one_seed_gives_the_text_of_generate(loaded):
    settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 31}
    generated = loaded.signatures["generate"](
        prompt=tf.constant(PROMPTS),
        max_new_tokens=tf.constant(15),
        **tensors(settings),
    )
    joined = one_by_one(loaded, PROMPTS, settings, steps=15)
    np.testing.assert_array_equal(joined, generated["completion"])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 1, "seed": 8},
        {"top_k": 2, "top_p": 0.5},
        {"top_p": tf.constant(0.5), "seed": tf.constant([9, 1] * 3)},
        {"temperature": 2.0, "top_k": [0, 3] * 3, "top_p": 1.0, "seed": 0},
    ],
)
def test_tutorial_form_takes_any_settings(loaded, model, settings):
    text, states = loaded.generate_one_step(tf.constant(PROMPTS), **settings)
    joined = text
    text, states = loaded.generate_one_step(text, states=states, **settings)
    joined += text
    for _ in range(6):
        text, states = loaded.generate_one_step(text, states, **settings)
        joined += text
    rows = {**EXPORT_SETTINGS.call, **settings, "max_new_tokens": 8}
    if np.ndim(rows["seed"]) == 0:
        rows["seed"] = rows["seed"] + np.arange(len(PROMPTS))
    rows = {n: np.broadcast_to(v, len(PROMPTS)) for n, v in rows.items()}
    completions, _ = expected(model, PROMPTS, rows)
    assert texts(joined) == list(completions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "`temperature` must be finite and at least 0"),
        ({"top_k": -2}, r"`top_k` must be from 0 .*top_k=.*-2"),
        ({"top_p": 1.5}, r"`top_p` must be above 0 and at most 1.*1.5"),
        ({"seed": [0, -9]}, r"`seed` must be from -1 .*seed=.*-9"),
        ({"max_new_tokens": -1}, r"`max_new_tokens` must be from 0 .*-1"),
        ({"top_k": [1, 2, 3]}, "`top_k` must be one number or one a row"),
    ],
)
def test_invalid_settings_are_refused(loaded, settings, message):
    given = tensors({**EXPORT_SETTINGS.call, **settings})
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        loaded.signatures["generate"](prompt=tf.constant(["a", "b"]), **given)
    if "max_new_tokens" in settings:
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        loaded.generate_one_step(tf.constant(["a", "b"]), **settings)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores(loaded, model, batch_size):
    prompts, _ = rows_of(batch_size)
    scores = loaded.signatures["score"](tf.constant(prompts))
    own = [log_probabilities(model, prompt)[0] for prompt in prompts]
    np.testing.assert_allclose(
        scores["log_prob"], [costs.sum() for costs in own], rtol=1e-5
    )
    assert scores["num_tokens"].numpy().tolist() == [*map(len, prompts)]
    sizes = [len(prompt.encode()) for prompt in prompts]
    assert scores["num_bytes"].numpy().tolist() == sizes


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("scalar", [True, False])
def test_likeliest_tokens(loaded, model, batch_size, scalar):
    prompts, _ = rows_of(batch_size)
    counts = np.full(batch_size, 4) if scalar else 1 + np.arange(batch_size)
    k = 4 if scalar else counts
    listed = loaded.signatures["next_token_probabilities"](
        prompt=tf.constant(prompts), k=tf.constant(k, tf.int32)
    )
    width = min(counts[-1], model.vocabulary_size)
    assert listed["tokens"].shape == (batch_size, width)
    for row, prompt in enumerate(prompts):
        tokens, probabilities = reference.following(
            reference.gru, weights_of(model), VOCABULARY, prompt, counts[row]
        )
        beyond = width - len(tokens)
        assert texts(listed["tokens"][row]) == tokens + [""] * beyond
        np.testing.assert_allclose(
            listed["probabilities"][row],
            [*probabilities, *[0] * beyond],
            rtol=1e-5,
        )


def log_probabilities(model, text):
    return reference.log_probabilities(
        reference.gru, weights_of(model), VOCABULARY, text
    )


def test_invalid_k_is_refused(loaded):
    listing = loaded.signatures["next_token_probabilities"]
    for k in (0, [3, -1]):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="`k` must be from 1 to"
        ):
            listing(prompt=tf.constant(["a", "b"]), k=tf.constant(k))
