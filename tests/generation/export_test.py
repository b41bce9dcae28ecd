import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.generation.conftest import (
    EXPORT_SETTINGS,
    random_model,
    texts,
)
from tflm import generation, models


def test_versions_count_up_and_are_whole(
    model, tokenizer, tmp_path, monkeypatch
):
    folder = tmp_path / "saved_models" / "small"
    (folder / "9").mkdir(parents=True)
    (folder / "notes").mkdir()
    room = iter([True, False])

    def save(servable, directory, signatures):
        (directory / "saved_model.pb").write_bytes(b"half")
        if not next(room):
            raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", save)
    assert generation.export(model, tokenizer, folder) == folder / "10"
    with pytest.raises(OSError, match="disk full"):
        generation.export(model, tokenizer, folder)
    names = sorted(entry.name for entry in folder.iterdir())
    assert names == ["10", "9", "notes"]


def test_settings_of_the_export_are_kept(path):
    kept = json.loads((path / "assets.extra/generation.json").read_text())
    settings = generation.GenerationSettings.from_dict(kept)
    assert settings.call == EXPORT_SETTINGS.call
    assert settings.max_new_tokens_limit == 10_000  # where none was set
    assert settings.prompt_bytes_limit == 100_000


def test_what_signatures_share_is_traced_once(tokenizer, tmp_path, monkeypatch):
    """A save traces anew what was traced before it, if it is let to."""
    lengths, steps, cut = [], [], []
    call, new_ids = models.GRU.call, generation.OneStep._new_ids
    tokenize = type(tokenizer).tokenize

    def counted_call(self, ids, *arguments, **keywords):
        lengths.append(ids.shape[1])
        return call(self, ids, *arguments, **keywords)

    def counted_step(self, *arguments):
        steps.append(arguments)
        return new_ids(self, *arguments)

    def counted_tokenize(self, text):
        cut.append(text)
        return tokenize(self, text)

    model = random_model(models.GRU, tokenizer)
    monkeypatch.setattr(models.GRU, "call", counted_call)
    monkeypatch.setattr(generation.OneStep, "_new_ids", counted_step)
    monkeypatch.setattr(type(tokenizer), "tokenize", counted_tokenize)
    generation.export(model, tokenizer, tmp_path)
    assert len(steps) == 1
    assert len(cut) == 2  # of all signatures, and of unknown_pieces
    # Prompts in chunks, the scores of chunks, and a single position.
    assert sorted(lengths, key=str) == [1, None, None]


def assert_every_build_has_it(path):
    """No function asks for XLA, and no operation for cuDNN."""
    saved = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    functions = saved.meta_graphs[0].graph_def.library.function
    assert len(functions) > 5
    for function in functions:
        assert not function.attr["_XlaMustCompile"].b
        assert not any("Cudnn" in node.op for node in function.node_def)


def test_no_function_asks_for_xla_or_cudnn(path):
    assert_every_build_has_it(path)


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


@pytest.mark.parametrize("kind", [models.GRU, models.GPT])
def test_export_in_bfloat16_rounds_the_weights_and_no_more(
    kind, tokenizer, tmp_path
):
    model = random_model(kind, tokenizer)
    settings = generation.GenerationSettings(
        precision="bfloat16", max_new_tokens=20, temperature=0.0
    )
    path = generation.export(model, tokenizer, tmp_path, settings)
    assert_every_build_has_it(path)
    loaded = tf.saved_model.load(path)
    dtypes = {v.dtype for v in loaded.weights if v.dtype.is_floating}
    assert dtypes == {tf.bfloat16}
    assert all(
        tensor.dtype in (tf.float32, tf.int32)
        for tensor in loaded.signatures["initial_state"](
            batch_size=tf.constant(1)
        ).values()
    )
    prompts = tf.constant(["ab", "日é"])
    rounded, exact = (
        following(prompt=prompts, k=tf.constant(tokenizer.vocabulary_size))
        for following in (
            loaded.signatures["next_token_probabilities"],
            generation.TextScorer(model, tokenizer).following,
        )
    )
    sorted_ = [np.sort(r["probabilities"]) for r in (rounded, exact)]
    assert 0 < np.abs(sorted_[0] - sorted_[1]).max() < 2e-2
    texts = loaded.signatures["serving_default"](prompts)["text"]
    python = generation.TextGenerator(model, tokenizer, settings)
    assert texts.numpy().tolist() == (
        python.generate(prompts)["text"].numpy().tolist()
    )
    assert model.compute_dtype == "float32"


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
