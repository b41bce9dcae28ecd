"""An export that differs from its model is refused; each test changes one."""

import contextlib
import copy
import dataclasses
import io
import json
import runpy
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tensorflow as tf

from tflm import generation, serving
from tflm.serving import proof


class Proven(NamedTuple):
    """A right export, and what its process was asked and has answered."""

    path: Path
    request: dict[str, Any]
    answers: dict[str, Any]


@pytest.fixture(scope="module")
def words(made):
    return made("words")


@pytest.fixture(scope="module")
def proven(words, tmp_path_factory):
    path, generator, scorer = words
    right = shutil.copytree(path, tmp_path_factory.mktemp("right") / "copy")
    process, noted = proof._fresh_process, []

    @contextlib.contextmanager
    def noting(export):
        with process(export) as ask:

            def ask_and_note(request):
                noted.extend([request, ask(request)])
                return noted[-1]

            yield ask_and_note

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "_fresh_process", noting)
        serving.prove(right, generator, scorer)
    return Proven(right, *noted)


def begin_no_process(monkeypatch, answer):
    @contextlib.contextmanager
    def process(export):
        yield lambda request: answer(export, request)

    monkeypatch.setattr(proof, "_fresh_process", process)


@pytest.fixture
def answers(proven, monkeypatch):
    """What the process has said, to be changed, is what is said again."""
    said = dict(proven.answers)

    def answer(export, request):
        assert request == proven.request
        return said

    begin_no_process(monkeypatch, answer)
    return said


@pytest.fixture
def asked_here(monkeypatch):
    """The script is run by this process, which has imported TensorFlow."""

    def answer(export, request):
        said = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["", str(export)])
            patch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
            patch.setattr(sys, "stdout", said)
            patch.setitem(sys.modules, "tflm", None)
            runpy.run_path(str(proof._SCRIPT), run_name="__main__")
        return json.loads(said.getvalue())

    begin_no_process(monkeypatch, answer)


@pytest.fixture
def changed(words, tmp_path):
    """A copy of the export, to be changed."""
    return shutil.copytree(words.path, tmp_path / "changed")


def refused(message):
    return pytest.raises(ValueError, match=f"(?s){message}")


def test_export_that_is_right_leaves_its_report(proven, words):
    report = json.loads((proven.path / serving.REPORT_FILE).read_text())
    assert report["op_libraries"] == []
    assert report["tensorflow"] == tf.__version__
    generate = words.generator.generate
    for call, texts in zip(report["settings"], report["texts"], strict=True):
        made = generate(report["prompts"], **call)["text"].numpy()
        assert [text.decode() for text in made] == texts
    assert len(report["prompts"]) > 2
    assert len({str(texts) for texts in report["texts"]}) > 2


def test_prompts_are_no_longer_than_the_export_takes(words):
    limited = copy.copy(words.generator)
    every = proof._prompts(words.generator)
    limited.settings = dataclasses.replace(
        words.generator.settings, prompt_bytes_limit=11
    )
    kept = proof._prompts(limited)
    assert kept == [text for text in every if len(text.encode()) <= 11]
    assert {"", "The \N{SNOWMAN} 123"} <= set(kept) < set(every)


def test_no_process_is_left_behind_an_error(changed, words, monkeypatch):
    begun = []

    def fail(*unused, **settings):
        raise KeyError("while the process loads the export")

    class Noted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(words.generator, "generate", fail)
    with pytest.raises(KeyError):
        serving.prove(changed, words.generator, words.scorer)
    assert [process.poll() for process in begun] == [-signal.SIGKILL]


def flip_weight(export):
    """Writes another bias of one word into the export's weights."""
    prefix = str(export / "variables/variables")
    reader = tf.train.load_checkpoint(prefix)
    names = sorted(reader.get_variable_to_shape_map())
    tensors = {name: reader.get_tensor(name) for name in names}
    bias = tensors[max(name for name in names if name.startswith("weights/"))]
    bias[5] = 30 - bias[5]
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=list(tensors.values()),
    )


@pytest.mark.usefixtures("asked_here")
def test_flipped_weight_is_refused(changed, words, tmp_path, monkeypatch):
    flip_weight(changed)

    def save_flipped(servable, directory, signatures):
        shutil.copytree(changed, directory, dirs_exist_ok=True)

    def check(export, *unused):
        serving.prove(export, words.generator, words.scorer)

    monkeypatch.setattr(tf.saved_model, "save", save_flipped)
    generator, folder = words.generator, tmp_path / "versions"
    with refused("the text behind .* differs"):
        generation.export(
            generator.model,
            generator.tokenizer,
            folder,
            generator.settings,
            check=check,
        )
    assert list(folder.iterdir()) == []  # nothing half-proven is left


@pytest.mark.usefixtures("asked_here")
def test_changed_word_of_the_vocabulary_is_refused(changed, words):
    graph = changed / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"rose", b"lily"))
    with refused("the text behind .* differs.*rose.*lily"):
        serving.prove(changed, words.generator, words.scorer)


def test_changed_default_is_refused(answers, words):
    answers["settings"] = {**answers["settings"], "temperature": 0.8}
    with refused("setting temperature differs. Expected: 0.7. Received: 0.8"):
        serving.prove(Path(), words.generator, words.scorer)


def test_other_default_of_the_graph_is_refused(answers, words):
    other = copy.copy(words.generator)
    other.settings = dataclasses.replace(other.settings, seed=6)
    with refused("text behind .*'seed': 6.* differs"):
        serving.prove(Path(), other, words.scorer)


def test_export_that_does_not_load_is_refused(changed, words):
    [data] = (changed / "variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[:-40])
    with refused("load in a process without tflm"):
        serving.prove(changed, words.generator, words.scorer)


def test_subwords_name_the_library_that_they_need(made, tmp_path):
    path, generator, scorer = made("unigram")
    path = shutil.copytree(path, tmp_path / "unigram")
    serving.prove(path, generator, scorer)
    report = json.loads((path / serving.REPORT_FILE).read_text())
    assert report["op_libraries"] == ["tensorflow_text"]


def test_other_score_is_refused(answers, words):
    def score(texts):
        return {"log_prob": 1.01 * words.scorer.score(texts)["log_prob"]}

    other = types.SimpleNamespace(score=score)
    with refused("the score of .* differs"):
        serving.prove(Path(), words.generator, other)
