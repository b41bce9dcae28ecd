"""Exports with every kind of tokenizer and of model, beside their models."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.generation.conftest import (
    PAIRS,
    PROMPTS,
    one_by_one,
    tensors,
    texts,
    weights_of,
)
from tflm import generation

RECURRENT = [pair for pair in PAIRS if not pair.endswith("-gpt")]

# Runs where nothing but TensorFlow is imported, nor can be.
FRESH = """
import json, sys

packages = {"tflm", "keras", "tensorflow_text", "tensorflow_probability"}
allowed = json.loads(sys.argv[2])
# An import of the others fails.
sys.modules.update(dict.fromkeys(packages - set(allowed)))
import tensorflow as tf

for package in allowed:
    __import__(package)

said = {}
for path, prompts in json.loads(sys.argv[1]):
    signatures = tf.saved_model.load(path).signatures
    prompt = tf.constant(prompts)
    settings = {
        "max_new_tokens": tf.constant(20),
        "temperature": tf.constant(1.0),
        "top_k": tf.constant(0),
        "top_p": tf.constant(1.0),
    }
    texts = {
        seed: signatures["generate"](
            prompt=prompt, seed=tf.constant(seed), **settings
        )["text"]
        for seed in (4, -1)
    }
    listed = signatures["next_token_probabilities"](
        prompt=prompt, k=tf.constant(3)
    )
    said[path] = {
        "seeded": [text.decode() for text in texts[4].numpy()],
        "fresh": [text.decode() for text in texts[-1].numpy()],
        "log_prob": signatures["score"](prompt)["log_prob"].numpy().tolist(),
        "likeliest": listed["probabilities"].numpy().tolist(),
    }
print(json.dumps(said))
"""


def settings_of(rows):
    """Settings [B] of which no two rows have the same."""
    return {
        "temperature": np.linspace(0.5, 1.5, rows),
        "top_k": np.arange(rows) % 4 * 5,
        "top_p": np.linspace(1, 0.7, rows),
        "seed": np.arange(rows) * 7 + 2,
    }


@pytest.mark.parametrize("pair", PAIRS)
def test_every_kind_gives_one_text_for_one_seed(exports, pair):
    """In Python, by `generate`, and by a loop over one step."""
    export = exports[pair]
    settings = settings_of(len(export.prompts))
    generator = generation.TextGenerator(export.model, export.tokenizer)
    expected = generator.generate(export.prompts, max_new_tokens=12, **settings)
    generated = export.loaded.signatures["generate"](
        prompt=tf.constant(export.prompts),
        max_new_tokens=tf.constant(12),
        **tensors(settings),
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(generated[name], values, name)
    assert max(generated["num_tokens"]) > 5
    joined = one_by_one(export.loaded, export.prompts, settings, steps=12)
    np.testing.assert_array_equal(joined, generated["completion_bytes"])


@pytest.mark.parametrize("pair", RECURRENT)
def test_texts_and_scores_are_those_of_the_reference(exports, pair):
    """By the definition in NumPy, ids in the place of characters."""
    export, cell = exports[pair], getattr(reference, pair.split("-")[1])
    weights = weights_of(export.model)
    entries = [(id_,) for id_ in range(4, export.tokenizer.vocabulary_size)]
    settings = settings_of(len(export.prompts))
    generated = export.loaded.signatures["generate"](
        prompt=tf.constant(export.prompts),
        max_new_tokens=tf.constant(12),
        **tensors(settings),
    )
    usual = export.loaded.signatures["serving_default"]
    assert set(usual.structured_outputs) == set(generated)
    scores = export.loaded.signatures["score"](tf.constant(export.prompts))
    listed = export.loaded.signatures["next_token_probabilities"](
        prompt=tf.constant(export.prompts), k=tf.constant(3)
    )
    for row, prompt in enumerate(export.prompts):
        ids = export.tokenizer.tokenize(prompt).numpy().tolist()
        given = [cell, weights, entries, [(id_,) for id_ in ids]]
        own = {name: values[row].item() for name, values in settings.items()}
        completion, reason = reference.generate(
            *given, max_new_tokens=12, **own
        )
        text = export.tokenizer.continuation(
            tf.constant([completion], tf.int32), tf.constant([prompt])
        )
        assert generated["completion_bytes"][row] == text[0]
        assert generated["finish_reason"][row] == reason
        assert generated["num_tokens"][row] == len(completion)
        costs, after = reference.log_probabilities(*given)
        np.testing.assert_allclose(
            scores["log_prob"][row], costs.sum(), rtol=1e-4, atol=1e-5
        )
        unlisted = [0, 2] + [1] * (export.tokenizer.kind == "bytes")
        highest = np.sort(np.exp(np.delete(after, unlisted)))[:-4:-1]
        np.testing.assert_allclose(
            listed["probabilities"][row], highest, rtol=1e-4
        )


@pytest.mark.parametrize("pair", PAIRS)
def test_row_of_every_kind_is_the_same_alone(exports, pair):
    export = exports[pair]
    settings = settings_of(len(export.prompts))
    generate = export.loaded.signatures["generate"]
    score = export.loaded.signatures["score"]
    limit = {"max_new_tokens": tf.constant(12)}
    prompts = tf.constant(export.prompts)
    together = generate(prompt=prompts, **limit, **tensors(settings))
    scores = score(together["text"])
    for row in range(len(export.prompts)):
        own = {name: values[row : row + 1] for name, values in settings.items()}
        alone = generate(prompt=prompts[row : row + 1], **limit, **tensors(own))
        for name, values in alone.items():
            assert values[0] == together[name][row], name
        for name, values in score(alone["text"]).items():
            np.testing.assert_allclose(values[0], scores[name][row], rtol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_scores_of_every_kind_are_those_of_one_pass(exports, pair):
    export = exports[pair]
    scores = export.loaded.signatures["score"](tf.constant(export.prompts))
    listed = export.loaded.signatures["next_token_probabilities"](
        prompt=tf.constant(export.prompts), k=tf.constant(1)
    )
    for row, prompt in enumerate(export.prompts):
        ids = export.tokenizer.tokenize(prompt).numpy()
        logits = export.model(np.array([[2, *ids]]))[0]
        shares = tf.nn.log_softmax(tf.cast(logits, tf.float64)).numpy()
        own = shares[np.arange(len(ids)), ids].sum()
        np.testing.assert_allclose(scores["log_prob"][row], own, rtol=1e-4)
        unlisted = [0, 2] + [1] * (export.tokenizer.kind == "bytes")
        highest = np.exp(np.delete(shares[-1], unlisted).max())
        np.testing.assert_allclose(
            listed["probabilities"][row], [highest], rtol=1e-4
        )
    counts = export.loaded.unknown_bytes(tf.constant(export.prompts)).numpy()
    expected = export.tokenizer.unknown_bytes(export.prompts)
    np.testing.assert_array_equal(counts, expected)


def test_words_begin_with_their_space(exports):
    [export] = [e for e in exports.values() if e.tokenizer.kind == "words"]
    rows = 20
    settings = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "seed": 0}
    prompts = ["a rose", "is ", "rose\n"] * rows
    step = export.loaded.generate_one_step
    words, states = step(tf.constant(prompts), **settings)
    following, _ = step(words, states, **settings)
    for prompt, first, second in zip(
        prompts, texts(words), texts(following), strict=True
    ):
        for before, word in ((prompt, first), (first, second)):
            if word not in ("", "\n"):
                spaces = len(word) - len(word.lstrip(" "))
                assert spaces == (not before.endswith((" ", "\n")))
                assert word.strip() in export.tokenizer.vocabulary
    assert {" a", "a", "\n"} <= {*texts(words), *texts(following)}


def test_beam_search_of_the_export_is_that_of_python(exports):
    for export in exports.values():
        generator = generation.BeamGenerator(export.model, export.tokenizer)
        call = {"num_beams": 3, "max_new_tokens": 5, "length_penalty": 1.0}
        expected = generator.search(export.prompts, **call)
        search = export.loaded.signatures["beam_search"]
        specs = search.structured_input_signature[1]
        served = search(
            prompt=tf.constant(export.prompts),
            **{n: tf.constant(v, specs[n].dtype) for n, v in call.items()},
        )
        np.testing.assert_array_equal(served["texts"], expected["texts"])


def started(paths, folder, libraries=()):
    """A fresh process that uses exports; `paths` have their prompts."""
    arguments = [json.dumps(paths), json.dumps(libraries)]
    return subprocess.Popen(
        [sys.executable, "-I", "-c", FRESH, *arguments],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_fresh_processes_need_tensorflow_alone(path, loaded, exports, tmp_path):
    moved = os.fspath(shutil.copytree(path, tmp_path / "elsewhere" / "7"))
    here = {moved: (loaded, PROMPTS)}
    for export in exports.values():
        here[os.fspath(export.path)] = (export.loaded, export.prompts)
    empty = tmp_path / "empty"
    empty.mkdir()
    subwords = os.fspath(exports["unigram-gru"].path)
    said = exports["unigram-gru"].path / "assets.extra/op_libraries.json"
    libraries = json.loads(said.read_text())
    assert libraries == ["tensorflow_text"]
    every = [(where, prompts) for where, (_, prompts) in here.items()]
    core = [entry for entry in every if entry[0] != subwords]
    others = [entry for entry in every if entry[0] in (subwords, moved)]
    processes = [
        started(core, empty),
        # TF-Text itself imports Keras.
        started(others, empty, ["keras", *libraries]),
    ]
    first, second = (json.loads(p.communicate()[0]) for p in processes)
    first[subwords] = second[subwords]
    assert second[moved]["seeded"] == first[moved]["seeded"]
    assert second[moved]["fresh"] != first[moved]["fresh"]
    for where, (known, prompts) in here.items():
        prompt, said = tf.constant(prompts), first[where]
        generated = known.signatures["generate"](
            prompt=prompt,
            max_new_tokens=tf.constant(20),
            temperature=tf.constant(1.0),
            top_k=tf.constant(0),
            top_p=tf.constant(1.0),
            seed=tf.constant(4),
        )
        scores = known.signatures["score"](prompt)
        listed = known.signatures["next_token_probabilities"](
            prompt=prompt, k=tf.constant(3)
        )
        assert said["seeded"] == texts(generated["text"])
        np.testing.assert_allclose(
            said["log_prob"], scores["log_prob"], rtol=1e-5
        )
        np.testing.assert_allclose(
            said["likeliest"], listed["probabilities"], rtol=1e-4
        )
    assert list(empty.iterdir()) == []
