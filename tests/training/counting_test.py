import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import write_text
from tflm import config, training
from tflm.models import NGram
from tflm.training import report
from tflm.training.callbacks import Samples, read_metrics
from tflm.training.run_directory import RunDirectory

ORDER = 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    return {
        "model": "ngram",
        "order": ORDER,
        "train_file": str(write_text(folder / "words.txt")),
        "cache_dir": str(folder / "cache"),
        # Longer than the text: there are no windows.
        "seq_len": 100_000,
    }


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))


@pytest.fixture(scope="module")
def counted(settings, tmp_path_factory):
    """A session that has counted, what a callback saw, and the exports."""
    folder = tmp_path_factory.mktemp("counted")
    recorder = Recorder()
    session = training.begin(
        config.from_flat(settings), folder / "runs" / "words", [recorder]
    )
    assert session.train() == "finished"
    report.print_header(session)
    report.finish(session, "finished", folder / "exports")
    return session, recorder, folder / "exports"


def test_the_model_is_that_of_the_text(counted):
    session = counted[0]
    stores = session.text.stores
    expected = NGram.train(
        stores["train"],
        vocabulary_size=session.text.tokenizer.vocabulary_size,
        order=ORDER,
    )
    trained = training.load(session.run.path)
    ids = np.array([[2, 5, 6, 7, 5]])
    np.testing.assert_array_equal(trained.model(ids), expected(ids))
    assert not trained.allow_end  # the one document was cut


@pytest.mark.parametrize("smoothing", config.SMOOTHINGS)
def test_settings_reach_the_model(settings, smoothing, tmp_path, monkeypatch):
    if smoothing != "mle":  # whose samples alone are from shares of zero
        monkeypatch.setattr(Samples, "on_epoch_end", lambda *_: None)
    changed = {"smoothing": smoothing, "add_k": 0.5, "order": 2}
    session = training.begin(
        config.from_flat({**settings, **changed}), tmp_path / "run"
    )
    session.train()
    stores = session.text.stores
    expected = NGram.train(
        stores["train"],
        vocabulary_size=session.text.tokenizer.vocabulary_size,
        order=2,
        smoothing=smoothing,
        add_k=0.5,
        held_out=stores["validation"],
    )
    ids = np.array([[2, 5, 6, 7, 5]])
    trained = training.load(session.run.path)
    np.testing.assert_array_equal(trained.model(ids), expected(ids))


def test_the_directory_is_that_of_a_run(counted):
    session, recorder, _ = counted
    run = RunDirectory.open(session.run.path)
    figures = json.loads(run.evaluation.read_text())
    assert set(figures) == {"validation", "test"}
    [line] = run.metrics.read_text().splitlines()
    metrics = json.loads(line)
    loss = figures["validation"]["nats_per_token"]
    assert metrics["val_loss"] == pytest.approx(loss, rel=1e-6)
    assert metrics["step"] == 1
    assert metrics["seconds"] >= 0
    trained = training.load(run.path)
    assert metrics["ngrams"] == trained.model.num_ngrams
    [logs] = recorder.logs
    assert logs["val_loss"] == metrics["val_loss"]
    [sample] = run.samples.iterdir()
    assert sample.read_text().startswith(session.text.prompt())
    card = run.card.read_text()
    assert f"{trained.model.num_ngrams:,} n-grams up to order 3" in card
    assert "loss curve" not in card
    assert "| smoothing | kneser_ney |" in card


def test_the_header_says_what_is_counted(counted, capsys):
    report.print_header(counted[0])
    lines = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()
    )
    assert lines["model"] == "ngram, order 3, kneser_ney"
    assert lines["time"].startswith("one pass over the text")


def test_the_export_writes_what_the_run_writes(counted):
    session, _, exports = counted
    trained = training.load(session.run.path)
    [version] = (exports / "words").iterdir()
    loaded = tf.saved_model.load(version)
    settings = {"max_new_tokens": 60, "seed": 3, "temperature": 0.9}
    prompts = ["the cat", "", "a rat saw"]
    expected = trained.generate(prompts, top_k=0, top_p=1.0, **settings)
    found = loaded.signatures["generate"](
        prompt=tf.constant(prompts),
        max_new_tokens=tf.constant(60),
        temperature=tf.constant(0.9),
        top_k=tf.constant(0),
        top_p=tf.constant(1.0),
        seed=tf.constant(3),
    )
    assert [text.decode() for text in found["text"].numpy()] == expected
    assert len(set(expected)) == 3
    # Step by step, the state carried from outside.
    text, states = tf.constant(["the cat"]), None
    written = "the cat"
    for _ in range(60):
        text, states = loaded.generate_one_step(
            text, states=states, temperature=0.9, seed=3
        )
        written += text.numpy()[0].decode()
    assert written == expected[0]


def test_there_is_nothing_to_resume(counted):
    assert counted[0].run.evaluation.exists()
    with pytest.raises(ValueError, match="nothing to resume.*n-gram model"):
        training.resume(counted[0].run.path, {})


@pytest.mark.parametrize("behind", [True, False])
def test_what_was_interrupted_is_counted_again(
    counted, tmp_path, monkeypatch, behind
):
    monkeypatch.setattr(Samples, "on_epoch_end", lambda *_: None)
    session = counted[0]
    path = shutil.copytree(session.run.path, tmp_path / "run")
    # Interrupted behind the counting, or in the middle of it.
    Path(path, "evaluation.json").unlink()
    if not behind:
        Path(path, "model.keras").unlink()
        Path(path, "metrics.jsonl").unlink()
    again = training.resume(path, {})
    again.train(resume=True)
    assert [e["step"] for e in read_metrics(again.run.metrics)] == [1]
    ids = np.array([[2, 5, 6, 7, 5]])
    np.testing.assert_array_equal(
        training.load(path).model(ids),
        training.load(session.run.path).model(ids),
    )
