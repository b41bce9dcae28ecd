"""An export that differs from its model is refused; each test changes one."""

import dataclasses
import json
import shutil
import signal
import subprocess

import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tflm import generation, models, serving
from tflm.generation import GenerationSettings
from tflm.tokenizers import SentencePiece, Words

WORDS = ["\n", "a", "rose", "is", "that", "who"]
SETTINGS = GenerationSettings(
    max_new_tokens=6,
    temperature=0.7,
    seed=5,
    stop=("who",),
    min_p=0.01,
    max_new_tokens_limit=50,
    prompt_bytes_limit=5000,
)


@pytest.fixture(scope="module")
def tokenizer():
    return Words(WORDS)


@pytest.fixture(scope="module")
def model(tokenizer):
    return random_model(models.GRU, tokenizer)


@pytest.fixture(scope="module")
def generator(model, tokenizer):
    return generation.TextGenerator(model, tokenizer, SETTINGS)


@pytest.fixture(scope="module")
def scorer(model, tokenizer):
    return generation.TextScorer(model, tokenizer)


@pytest.fixture(scope="module")
def made(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return generation.export(model, tokenizer, folder, SETTINGS)


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copy")


def refused_in_export(folder, message, model, tokenizer, check):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        generation.export(model, tokenizer, folder, SETTINGS, check=check)
    assert list(folder.iterdir()) == []  # nothing half-proven is left


def test_export_that_is_right_leaves_its_report(copy, generator, scorer):
    serving.prove(copy, generator, scorer)
    report = json.loads((copy / serving.REPORT_FILE).read_text())
    assert report["op_libraries"] == []
    assert report["tensorflow"] == tf.__version__
    for call, texts in zip(report["settings"], report["texts"], strict=True):
        made = generator.generate(report["prompts"], **call)["text"].numpy()
        assert [text.decode() for text in made] == texts
    assert len(report["prompts"]) > 2
    assert len({str(texts) for texts in report["texts"]}) > 2


def test_no_process_is_left_behind_an_error(
    copy, generator, scorer, monkeypatch
):
    begun = []

    def fail(*unused, **settings):
        raise KeyError("while the process loads the export")

    class Noted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(generator, "generate", fail)
    with pytest.raises(KeyError):
        serving.prove(copy, generator, scorer)
    assert [process.poll() for process in begun] == [-signal.SIGKILL]


def test_flipped_weight_is_refused(tmp_path, model, tokenizer, monkeypatch):
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
    message = "the text behind .* differs"
    refused_in_export(tmp_path, message, model, tokenizer, serving.prove)


def test_changed_line_of_the_vocabulary_is_refused(
    tmp_path, model, generator, scorer
):
    other = Words([*WORDS[:2], "lily", *WORDS[3:]])

    def check(export, *unused):
        serving.prove(export, generator, scorer)

    message = "the text behind .* differs"
    refused_in_export(tmp_path, message, model, other, check)


def test_changed_default_is_refused(copy, generator, scorer):
    file = copy / "assets.extra/generation.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "temperature": 0.8}))
    message = "the setting temperature differs. Expected: 0.7. Received: 0.8"
    with pytest.raises(ValueError, match=message):
        serving.prove(copy, generator, scorer)


def test_other_default_of_the_graph_is_refused(copy, model, tokenizer, scorer):
    other = dataclasses.replace(SETTINGS, seed=6)
    generator = generation.TextGenerator(model, tokenizer, other)
    with pytest.raises(ValueError, match="text behind .*'seed': 6.* differs"):
        serving.prove(copy, generator, scorer)


def test_export_that_does_not_load_is_refused(copy, generator, scorer):
    [data] = (copy / "variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[:-40])
    with pytest.raises(ValueError, match="load in a process without tflm"):
        serving.prove(copy, generator, scorer)


def test_subwords_name_the_library_that_they_need(tmp_path):
    tokenizer = SentencePiece.train(["a rose is a rose"] * 3)
    model = random_model(models.GRU, tokenizer)
    path = generation.export(model, tokenizer, tmp_path, check=serving.prove)
    report = json.loads((path / serving.REPORT_FILE).read_text())
    assert report["op_libraries"] == ["tensorflow_text"]


def test_other_score_is_refused(copy, generator, tokenizer):
    other = random_model(models.LSTM, tokenizer)
    scorer = generation.TextScorer(other, tokenizer)
    with pytest.raises(ValueError, match="the score of .* differs"):
        serving.prove(copy, generator, scorer)
