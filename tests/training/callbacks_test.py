import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from tests.training.conftest import Bigram, make_loop
from tflm.training.callbacks import (
    BestWeights,
    MetricsFile,
    Samples,
    TensorBoardLog,
    read_metrics,
)


@pytest.fixture
def metrics(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        metrics.on_log(step, {"loss": step / 7})
    return metrics


def test_metrics_are_json_lines(metrics):
    # Keras turns every figure of an evaluation into a float.
    metrics.on_epoch_end(0, {"step": 3.0, "val_loss": 0.5})
    lines = metrics.path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "loss": 1 / 7},
        {"step": 2, "loss": 2 / 7},
        {"step": 3, "loss": 3 / 7},
        {"step": 3, "val_loss": 0.5},
    ]
    assert read_metrics(metrics.path) == [json.loads(line) for line in lines]


def test_torn_last_line_is_left_out(metrics):
    with metrics.path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [entry["step"] for entry in read_metrics(metrics.path)] == [1, 2, 3]


def test_metrics_after_the_checkpoint_are_dropped(metrics):
    with metrics.path.open("a") as file:
        file.write('{"step": 4, "lo')
    metrics.on_restore(2)
    metrics.on_log(3, {"loss": 9.0})
    assert read_metrics(metrics.path) == [
        {"step": 1, "loss": 1 / 7},
        {"step": 2, "loss": 2 / 7},
        {"step": 3, "loss": 9.0},
    ]


def test_restore_before_any_metrics(tmp_path):
    MetricsFile(tmp_path / "none.jsonl").on_restore(5)
    assert not (tmp_path / "none.jsonl").exists()


def events(directory):
    """What TensorBoard shows: by tag, pairs of step and value."""
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return {
        tag: [
            (event.step, tf.make_ndarray(event.tensor_proto))
            for event in accumulator.Tensors(tag)
        ]
        for tag in accumulator.Tags()["tensors"]
    }


def test_tensorboard_reads_the_scalars(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.on_log(10, {"loss": 0.25, "learning_rate": 0.5})
    log.on_epoch_end(0, {"step": 10.0, "val_loss": 2.0})
    log.on_log(20, {"loss": 0.125, "learning_rate": 1.0})
    log.on_train_end()
    assert events(tmp_path) == {
        "loss": [(10, 0.25), (20, 0.125)],
        "learning_rate": [(10, 0.5), (20, 1.0)],
        "val_loss": [(10, 2.0)],
    }


class Echo:
    """Stands for a generator; says how it was asked."""

    def generate(self, prompt, **settings):
        text = f"{prompt}{settings['max_new_tokens']} é {settings['seed']}"
        return {"text": tf.constant(text)}


def test_samples_are_kept_as_files_and_shown(tmp_path):
    (tmp_path / "samples").mkdir()
    log = TensorBoardLog(tmp_path / "events")
    samples = Samples(Echo(), "to be ", tmp_path / "samples", log)
    samples.on_epoch_end(0, {"step": 30.0, "val_loss": 1.0})
    log.on_train_end()
    [path] = (tmp_path / "samples").iterdir()
    assert path.name == "step_00000030.txt"
    assert samples.text == "to be 200 é 0"
    assert path.read_text(encoding="utf-8") == samples.text + "\n"
    assert events(tmp_path / "events") == {
        "sample": [(30, samples.text.encode())]
    }


class Judge:
    """Gives validation losses and marks the weights with each of them."""

    def __init__(self, model, losses):
        self.model = model
        self.losses = iter(losses)

    def __call__(self):
        loss = next(self.losses)
        self.model.table.assign(np.full([9, 9], loss))
        return {"val_loss": loss}


def kept(path):
    model = Bigram()
    model.load_weights(path)
    return np.asarray(model.table)[0, 0]


def test_best_weights_are_those_of_the_lowest_loss(tmp_path):
    path = tmp_path / "model.keras"
    best = BestWeights(Bigram(), path)
    judge = Judge(best.kept, [3.0, 1.5, 2.0, float("nan"), 1.5, 1.0, 1.25])
    seen = []
    for epoch in range(7):
        best.on_epoch_end(epoch, {"step": float(epoch), **judge()})
        seen.append(kept(path))
    assert seen == [3.0, 1.5, 1.5, 1.5, 1.5, 1.0, 1.0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]


def test_newest_weights_are_kept_without_validation(tmp_path):
    best = BestWeights(Bigram(), tmp_path / "model.keras")
    for epoch, value in enumerate([3.0, 4.0, 5.0]):
        best.kept.table.assign(np.full([9, 9], value))
        best.on_epoch_end(epoch, {"step": float(epoch)})
        assert kept(best.path) == value


def test_best_weights_survive_a_resume(tmp_path):
    path = tmp_path / "model.keras"

    def loop(losses, steps):
        best = BestWeights(Bigram(), path)
        judge = Judge(best.kept, losses)
        return make_loop(
            tmp_path,
            [best],
            evaluate=judge,
            evaluate_every=1,
            max_steps=steps,
        )

    loop([2.0, 1.0], steps=2).run()
    assert kept(path) == 1.0
    loop([1.5], steps=3).run(resume=True)
    assert kept(path) == 1.0
    loop([0.5], steps=4).run(resume=True)
    assert kept(path) == 0.5
