"""An export that differs from its model is refused; each test changes one."""

import dataclasses
import functools
import json

import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tflm import generation, models, serving
from tflm.generation import GenerationSettings
from tflm.tokenizers import SentencePiece, Words

WORDS = ["\n", "a", "rose", "is", "that", "who"]
SETTINGS = GenerationSettings(
    max_new_tokens=6, temperature=0.7, seed=5, stop=("who",), min_p=0.01
)


@pytest.fixture(scope="module")
def tokenizer():
    return Words(WORDS)


@pytest.fixture(scope="module")
def model(tokenizer):
    return random_model(models.GRU, tokenizer)


@pytest.fixture
def prove(model, tokenizer):
    return functools.partial(serving.prove, model=model, tokenizer=tokenizer)


def refused(folder, message, model, tokenizer, check):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        generation.export(model, tokenizer, folder, SETTINGS, check=check)
    assert list(folder.iterdir()) == []  # nothing half-proven is left


def test_export_that_is_right_leaves_its_report(
    tmp_path, model, tokenizer, prove
):
    path = generation.export(model, tokenizer, tmp_path, SETTINGS, check=prove)
    report = json.loads((path / serving.REPORT_FILE).read_text())
    assert report["op_libraries"] == []
    assert report["tensorflow"] == tf.__version__
    generator = generation.TextGenerator(model, tokenizer, SETTINGS)
    for call, texts in zip(report["settings"], report["texts"], strict=True):
        made = generator.generate(report["prompts"], **call)["text"].numpy()
        assert [text.decode() for text in made] == texts
    assert len(report["prompts"]) > 2
    assert len({str(texts) for texts in report["texts"]}) > 2


def test_flipped_weight_is_refused(
    tmp_path, model, tokenizer, prove, monkeypatch
):
    save = tf.saved_model.save

    def save_flipped(servable, directory, signatures):
        weight = servable.weights[-1]
        kept = weight.numpy()
        flipped = kept.copy()
        flipped[5] = 30 - flipped[5]  # the bias of one word
        weight.assign(flipped)
        save(servable, directory, signatures)
        weight.assign(kept)

    monkeypatch.setattr(tf.saved_model, "save", save_flipped)
    refused(tmp_path, "the text behind .* differs", model, tokenizer, prove)


def test_changed_line_of_the_vocabulary_is_refused(tmp_path, model, prove):
    other = Words([*WORDS[:2], "lily", *WORDS[3:]])
    refused(tmp_path, "the text behind .* differs", model, other, prove)


def test_changed_default_is_refused(tmp_path, model, tokenizer, prove):
    def change(export, settings):
        file = export / "assets.extra/generation.json"
        values = json.loads(file.read_text())
        file.write_text(json.dumps({**values, "temperature": 0.8}))
        prove(export, settings)

    message = "the setting temperature differs. Expected: 0.7. Received: 0.8"
    refused(tmp_path, message, model, tokenizer, change)

    def other_seed(export, settings):
        prove(export, dataclasses.replace(settings, seed=6))

    refused(tmp_path, "differs", model, tokenizer, other_seed)


def test_export_that_does_not_load_is_refused(
    tmp_path, model, tokenizer, prove
):
    def cut(export, settings):
        [data] = (export / "variables").glob("*.data*")
        data.write_bytes(data.read_bytes()[:-40])
        prove(export, settings)

    refused(tmp_path, "load in a process without tflm", model, tokenizer, cut)


def test_subwords_name_the_library_that_they_need(tmp_path):
    tokenizer = SentencePiece.train(["a rose is a rose"] * 3)
    model = random_model(models.GRU, tokenizer)
    prove = functools.partial(serving.prove, model=model, tokenizer=tokenizer)
    path = generation.export(model, tokenizer, tmp_path, check=prove)
    report = json.loads((path / serving.REPORT_FILE).read_text())
    assert report["op_libraries"] == ["tensorflow_text"]
