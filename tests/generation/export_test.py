import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import reference
from tests.generation.conftest import PROMPTS, VOCABULARY, random_model
from tflm import generation, models

SETTINGS = generation.GenerationSettings(
    max_new_tokens=9, temperature=0.5, top_k=6, top_p=0.7, seed=4
)
TYPES = {
    "max_new_tokens": tf.int32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "seed": tf.int32,
}
STATES = {
    "layer_0_hidden": tf.TensorSpec([None, 12], tf.float32),
    "position": tf.TensorSpec([None], tf.int32),
    "last_id": tf.TensorSpec([None], tf.int32),
}

# Runs where nothing but TensorFlow is imported.
FRESH = """
import json, sys
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
prompts = tf.constant(json.loads(sys.argv[2]))
settings = {
    "max_new_tokens": tf.constant(20),
    "temperature": tf.constant(1.0),
    "top_k": tf.constant(0),
    "top_p": tf.constant(1.0),
}
generate = loaded.signatures["generate"]
texts = {
    seed: generate(prompt=prompts, seed=tf.constant(seed), **settings)["text"]
    for seed in (4, -1)
}
imported = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({
    "seeded": [text.decode() for text in texts[4].numpy()],
    "fresh": [text.decode() for text in texts[-1].numpy()],
    "imported": sorted(imported & {"tflm", "tensorflow_probability"}),
}))
"""


@pytest.fixture(scope="module")
def path(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_models") / "small"
    return generation.export(model, tokenizer, folder, SETTINGS)


@pytest.fixture(scope="module")
def loaded(path):
    return tf.saved_model.load(path)


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
    weights = model.get_weights()
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


def tensors(settings):
    return {
        name: tf.constant(value, TYPES[name])
        for name, value in settings.items()
    }


def texts(tensor):
    return [text.decode() for text in tensor.numpy()]


def one_by_one(loaded, prompts, settings, steps):
    """The outputs of the flat signature, joined."""
    step = loaded.signatures["generate_one_step"]
    state = loaded.signatures["initial_state"](tf.constant(len(prompts)))
    inputs, joined = tf.constant(prompts), tf.constant([""] * len(prompts))
    for _ in range(steps):
        state = step(inputs=inputs, **tensors(settings), **state)
        inputs = state.pop("outputs")
        joined += inputs
    return joined


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
    }
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
    settings = {**SETTINGS.to_dict(), "seed": 99, "max_new_tokens": 5}
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
    settings = as_rows(SETTINGS.to_dict(), batch_size)
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
    rows = {**SETTINGS.to_dict(), **settings, "max_new_tokens": 8}
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
    given = tensors({**SETTINGS.to_dict(), **settings})
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        loaded.signatures["generate"](prompt=tf.constant(["a", "b"]), **given)
    if "max_new_tokens" in settings:
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        loaded.generate_one_step(tf.constant(["a", "b"]), **settings)


def test_fresh_processes_need_tensorflow_alone(path, tmp_path, text_generator):
    moved = shutil.copytree(path, tmp_path / "elsewhere" / "7")
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-I", "-c", FRESH, moved, json.dumps(PROMPTS)]
    processes = [
        subprocess.Popen(
            command,
            cwd=empty,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    first, second = (json.loads(p.communicate()[0]) for p in processes)
    generated = text_generator.generate(PROMPTS, max_new_tokens=20, seed=4)
    assert first["seeded"] == second["seeded"] == texts(generated["text"])
    assert first["fresh"] != second["fresh"]
    assert first["imported"] == []
    assert list(empty.iterdir()) == []


def test_versions_count_up_and_are_whole(
    model, tokenizer, tmp_path, monkeypatch
):
    folder = tmp_path / "saved_models" / "small"
    (folder / "9").mkdir(parents=True)
    (folder / "notes").mkdir()
    path = generation.export(model, tokenizer, folder)
    assert path == folder / "10"

    def save_half(servable, directory, signatures):
        (directory / "saved_model.pb").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", save_half)
    with pytest.raises(OSError, match="disk full"):
        generation.export(model, tokenizer, folder)
    names = sorted(entry.name for entry in folder.iterdir())
    assert names == ["10", "9", "notes"]


def test_settings_of_the_export_are_kept(path):
    kept = json.loads((path / "assets.extra/generation.json").read_text())
    assert generation.GenerationSettings.from_dict(kept) == SETTINGS


def test_no_function_asks_for_xla_or_cudnn(path):
    saved = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    functions = saved.meta_graphs[0].graph_def.library.function
    assert len(functions) > 5
    for function in functions:
        assert not function.attr["_XlaMustCompile"].b
        assert not any("Cudnn" in node.op for node in function.node_def)


def test_model_of_another_precision_is_exported_in_float32(tokenizer, tmp_path):
    model = random_model(models.LSTM, tokenizer, dtype="mixed_bfloat16")
    loaded = tf.saved_model.load(generation.export(model, tokenizer, tmp_path))
    _, states = loaded.generate_one_step(tf.constant(["ab", "日"]), seed=1)
    plain = random_model(models.LSTM, tokenizer)
    ids = tokenizer.tokenize(["ab"])
    ids = tf.concat([[[2]], ids.to_tensor()], axis=1)
    _, expected_state = plain(ids, return_state=True)
    for name, tensor in expected_state.items():
        np.testing.assert_allclose(states[name][0], tensor[0], atol=1e-6)


def test_end_is_never_generated_if_training_had_none(
    alphabet, letters, tmp_path
):
    settings = generation.GenerationSettings(temperature=0.0, max_new_tokens=3)
    path = generation.export(
        alphabet, letters, tmp_path, settings, allow_end=False
    )
    served = tf.saved_model.load(path).signatures["serving_default"]
    # After the last letter only END was likely; the lowest of the rest is a.
    assert texts(served(tf.constant(["ij"]))["completion"]) == ["abc"]
