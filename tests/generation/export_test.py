import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.generation.conftest import (
    EXPORT_SETTINGS,
    PROMPTS,
    random_model,
    texts,
)
from tflm import generation, models

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
    settings = generation.GenerationSettings.from_dict(kept)
    assert settings.call == EXPORT_SETTINGS.call
    assert settings.max_new_tokens_limit == 10_000  # where none was set


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
