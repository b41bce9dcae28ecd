import json
import math
import signal
import subprocess
import sys
import threading
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import (
    Bigram,
    Recorder,
    compiled,
    digests,
    make_loop,
    windows,
)
from tflm import config, models
from tflm.training import loop as loop_module
from tflm.training import schedule
from tflm.training.callbacks import MetricsFile, read_metrics

VALIDATION = [3.0, 2.0, 2.5, 2.5, 1.0, 1.0]


def falls_and_rises(losses=VALIDATION):
    losses = iter(losses)
    return lambda: {"val_loss": next(losses)}


class Logs(keras.callbacks.Callback):
    """Keeps the figures of the log steps."""

    def __init__(self):
        super().__init__()
        self.logs = {}

    def on_log(self, step, logs):
        self.logs[step] = logs

    def __getitem__(self, name):
        return {step: logs[name] for step, logs in self.logs.items()}


def test_losses_are_those_of_compile_and_fit(tmp_path):
    def model():
        keras.utils.set_random_seed(2)
        # With an embedding Keras would clip by another norm, see below.
        gru = models.GRU(vocabulary_size=9, embedding_dim=0, units=7)
        return compiled(gru, 0.05, weight_decay=0.1, global_clipnorm=0.3)

    # Windows that end within a batch and a text that ends within a window.
    data = windows(tokens=203, seq_len=5, batch_size=4)
    ours, fitted = model(), model()
    recorder = Recorder(21)
    loop = make_loop(
        tmp_path,
        [recorder],
        model=ours,
        data=data,
        epochs=2,
        learning_rate=0.05,
    )
    assert loop.run() == "finished"
    # Keras's loss of an epoch of one batch is the loss of that batch.
    history = fitted.fit(
        data.dataset(0, epochs=2),
        epochs=21,
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
    )
    assert len(recorder.losses) == 21
    np.testing.assert_allclose(
        list(recorder.losses.values()), history.history["loss"], rtol=2e-6
    )
    for weight, expected in zip(ours.weights, fitted.weights, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


def test_gradient_is_clipped_to_the_norm_that_is_set(tmp_path):
    """Also where an id comes many times in a batch, each with its slice."""
    model = Bigram()
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=0.01)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer)
    before = model.table.numpy()
    loop = make_loop(tmp_path, model=model, max_steps=1, learning_rate=1.0)
    loop.run()
    change = np.linalg.norm(model.table.numpy() - before)
    np.testing.assert_allclose(change, 0.01, rtol=1e-4)


class Events(keras.callbacks.Callback):
    """Writes down which of Keras's methods is called, and with what."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append("train begins")

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(f"epoch {epoch} begins")

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(f"batch {batch} begins")

    def on_train_batch_end(self, batch, logs=None):
        assert set(logs) == {"loss"}
        self.seen.append(f"batch {batch} ends")

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(f"epoch {epoch} ends: {logs}")

    def on_train_end(self, logs=None):
        self.seen.append("train ends")


def batches(first, last):
    pairs = [(f"batch {b} begins", f"batch {b} ends") for b in (first, last)]
    return [event for pair in pairs for event in pair]


def test_ordinary_callbacks_see_ordinary_training(tmp_path):
    events = Events()
    loop = make_loop(
        tmp_path,
        [events],
        evaluate=falls_and_rises(),
        max_steps=4,
        evaluate_every=2,
    )
    assert loop.run() == "finished"
    assert events.model is loop.model
    assert events.seen == [
        "train begins",
        "epoch 0 begins",
        *batches(0, 1),
        "epoch 0 ends: {'step': 2.0, 'val_loss': 3.0}",
        "epoch 1 begins",
        *batches(2, 3),
        "epoch 1 ends: {'step': 4.0, 'val_loss': 2.0}",
        "train ends",
    ]


def test_steps_after_the_last_evaluation_are_evaluated(tmp_path):
    events = Events()
    make_loop(tmp_path, [events], max_steps=3, evaluate_every=2).run()
    assert events.seen[-4:] == [
        "batch 2 begins",
        "batch 2 ends",
        "epoch 1 ends: {'step': 3.0}",
        "train ends",
    ]


def test_early_stopping_stops(tmp_path):
    stopping = keras.callbacks.EarlyStopping(patience=2)
    loop = make_loop(
        tmp_path, [stopping], evaluate=falls_and_rises(), evaluate_every=5
    )
    assert loop.run() == "stopped early"
    assert loop.progress.step == 4 * 5
    assert loop.progress.rounds == 4


def test_early_stopping_remembers_what_it_saw_before_a_resume(tmp_path):
    def loop(losses, **bounds):
        return make_loop(
            tmp_path,
            [keras.callbacks.EarlyStopping(patience=2)],
            evaluate=falls_and_rises(losses),
            evaluate_every=5,
            **bounds,
        )

    assert loop(VALIDATION[:3], max_steps=15).run() == "finished"
    resumed = loop(VALIDATION[3:])
    assert resumed.run(resume=True) == "stopped early"
    assert resumed.progress.step == 4 * 5


@pytest.mark.parametrize("stop", [5, 10, 15])
def test_callbacks_decide_after_a_resume_as_without(tmp_path, stop):
    """Keras turns the sign of a setting when training begins."""
    losses = [3.0, 2.95, 2.94, 2.93, 2.92, 2.91]

    def loop(folder, losses, **bounds):
        return make_loop(
            tmp_path / folder,
            [keras.callbacks.EarlyStopping(patience=4, min_delta=0.1)],
            evaluate=falls_and_rises(losses),
            evaluate_every=5,
            **bounds,
        )

    whole = loop("whole", losses)
    assert whole.run() == "stopped early"
    loop("parts", losses, max_steps=stop).run()
    resumed = loop("parts", losses[stop // 5 :])
    assert resumed.run(resume=True) == "stopped early"
    assert resumed.progress.step == whole.progress.step == 25


def plateau(tmp_path, logs, *others, losses=VALIDATION, **settings):
    reduce = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2)
    return make_loop(
        tmp_path,
        [reduce, logs, *others],
        evaluate=falls_and_rises(losses),
        evaluate_every=2,
        log_every=1,
        **settings,
    )


def test_reduced_learning_rate_stays_reduced(tmp_path):
    logs = Logs()
    plateau(tmp_path, logs, max_steps=12, learning_rate=0.5).run()
    # The fourth evaluation is the second without a better loss.
    expected = {s: 0.5 if s <= 8 else 0.25 for s in range(1, 13)}
    assert logs["learning_rate"] == expected


def test_reduced_learning_rate_survives_a_resume_and_follows_the_schedule(
    tmp_path,
):
    def scheduled(step, total, factor):
        return factor * schedule.learning_rate(
            0.5, 0, "cosine", step - 1, (step - 1) / total
        )

    settings = {"learning_rate": 0.5, "schedule": "cosine"}
    plateau(tmp_path, Logs(), max_steps=8, **settings).run()
    logs = Logs()
    loop = plateau(
        tmp_path, logs, losses=VALIDATION[4:], max_steps=12, **settings
    )
    loop.run(resume=True)
    assert logs["learning_rate"] == pytest.approx(
        {s: scheduled(s, 12, 0.5) for s in range(9, 13)}, rel=1e-6
    )


def test_run_goes_on_with_other_callbacks(tmp_path):
    plateau(tmp_path, Logs(), Events(), max_steps=2).run()
    events = Events()
    loop = make_loop(tmp_path, [events], max_steps=3)
    assert loop.run(resume=True) == "finished"
    assert events.seen[:2] == ["train begins", "epoch 1 begins"]


def test_loss_that_is_no_number_stops_the_run(tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 3:
                table = self.model.table
                table.assign(np.full(table.shape, np.nan))

    loop = make_loop(tmp_path, [Spoil()], max_steps=9, evaluate_every=2)
    with pytest.raises(
        FloatingPointError,
        match="the loss is nan at step 4: try a lower --learning_rate",
    ):
        loop.run()
    # The last checkpoint is from before.
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert names == ["step_00000002"]


def test_absurd_learning_rate_stops_the_run(tmp_path):
    loop = make_loop(tmp_path, learning_rate=3e38, max_steps=50)
    with pytest.raises(FloatingPointError, match=r"the loss is (inf|nan) at"):
        loop.run()


def test_minutes_end_the_run_and_the_schedule(monkeypatch, tmp_path):
    ticks = iter(range(1000, 2000))
    clock = types.SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr(loop_module, "time", clock)
    logs = Logs()
    loop = make_loop(
        tmp_path,
        [logs],
        max_minutes=10 / 60,
        evaluate_every=1000,
        log_every=1,
        schedule="cosine",
        learning_rate=0.5,
    )
    assert loop.run() == "out of time"
    # A second a step, but for the first, which is not counted.
    assert logs["seconds"] == {s: s - 1.0 for s in range(1, 12)}
    expected = {
        s: schedule.learning_rate(0.5, 0, "cosine", 0, max(s - 2, 0) / 10)
        for s in range(1, 12)
    }
    assert logs["learning_rate"] == pytest.approx(expected, rel=1e-6)
    assert logs["tokens_per_second"][5] == 20


class Signals(keras.callbacks.Callback):
    def __init__(self, batch, *numbers):
        super().__init__()
        self.batch = batch
        self.numbers = numbers

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.batch:
            for number in self.numbers:
                signal.raise_signal(number)


ENDINGS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", ENDINGS)
def test_signal_saves_and_the_run_goes_on_exactly(tmp_path, number):
    settings = {"max_steps": 12, "log_every": 5, "evaluate_every": 4}

    def fresh():
        keras.utils.set_random_seed(1)
        return compiled(Bigram())

    whole, expected = Logs(), Recorder(12)
    make_loop(
        tmp_path / "whole", [whole, expected], model=fresh(), **settings
    ).run()

    before = [signal.getsignal(ending) for ending in ENDINGS]
    ending = Signals(6, number)
    first = make_loop(tmp_path, [ending], model=fresh(), **settings)
    assert first.run() == "interrupted"
    assert [signal.getsignal(ending) for ending in ENDINGS] == before
    assert first.progress.step == 7
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000004", "step_00000007"]

    logs, recorder = Logs(), Recorder(12)
    second = make_loop(tmp_path, [logs, recorder], model=fresh(), **settings)
    assert second.run(resume=True) == "finished"
    assert recorder.record(8) == expected.record(8)
    # A log covers the five steps before it, on whichever side they were.
    assert logs["loss"] == {10: whole["loss"][10]}
    mean = np.mean([expected.losses[step] for step in range(6, 11)])
    assert logs["loss"][10] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("second", ENDINGS)
def test_second_signal_ends_at_once(tmp_path, second):
    before = signal.getsignal(signal.SIGINT)
    loop = make_loop(tmp_path, [Signals(2, signal.SIGINT, second)], max_steps=9)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert signal.getsignal(signal.SIGINT) is before
    assert loop.progress.step == 3
    assert not (tmp_path / "checkpoints").exists()


def test_runs_in_a_thread(tmp_path):
    reasons = []
    loop = make_loop(tmp_path, max_steps=2)
    thread = threading.Thread(target=lambda: reasons.append(loop.run()))
    thread.start()
    thread.join()
    assert reasons == ["finished"]


def test_resume_without_a_checkpoint_begins(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')  # of a run that died
    metrics = MetricsFile(path)
    loop = make_loop(tmp_path, [metrics], max_steps=2, log_every=1)
    assert loop.run(resume=True) == "finished"
    assert loop.progress.step == 2
    steps = [entry["step"] for entry in read_metrics(path)]
    assert steps == [1, 2, 2]  # the last is the evaluation's


def test_resume_of_a_finished_run_takes_no_step(tmp_path):
    make_loop(tmp_path, max_steps=4, evaluate_every=2).run()
    for max_steps in (4, 3):
        settings = {"max_steps": max_steps, "evaluate_every": 2}
        again = make_loop(tmp_path, **settings)
        before = digests(again.model)
        assert again.run(resume=True) == "finished"
        assert again.progress.step == 4
        assert again.progress.rounds == 2  # nothing new to evaluate
        assert digests(again.model) != before


@pytest.mark.parametrize(
    ("bounds", "steps"),
    [
        ({"max_minutes": 1.0}, None),
        ({"max_steps": 7}, 7),
        ({"epochs": 2}, 20),  # 2 x 40 windows in batches of 4
        ({"epochs": 2, "max_steps": 19}, 19),
        ({"epochs": 2, "max_steps": 21}, 20),
    ],
)
def test_total_steps_are_the_nearest_bound(bounds, steps):
    settings = config.TrainingConfig(**bounds)
    assert loop_module.total_steps(windows(), settings) == steps


@pytest.mark.parametrize(
    ("tokens", "given", "expected"),
    [(200, None, 50), (1580, None, 79), (40_000, None, 1000), (200, 3, 3)],
)
def test_an_epoch_lies_between_evaluations(tokens, given, expected):
    settings = config.TrainingConfig(evaluate_every=given)
    assert (
        loop_module.evaluate_every(windows(tokens=tokens), settings) == expected
    )


def test_part_done_goes_by_the_nearest_bound(tmp_path):
    loop = make_loop(tmp_path, max_steps=10, max_minutes=1.0)
    loop.progress.step, loop.progress.seconds = 2, 30.0
    assert loop.part_done() == 0.5
    loop.progress.step = 7
    assert loop.part_done() == 0.7


MIRRORED = """
import json, pathlib, sys
import keras
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from tests.training.conftest import Recorder, compiled, make_loop
from tflm import models

def losses(directory, strategy, ends):
    recorder = Recorder(12)
    with strategy.scope():
        for max_steps in ends:  # resumed at each of them
            keras.utils.set_random_seed(2)
            gru = models.GRU(vocabulary_size=9, embedding_dim=6, units=7)
            model = compiled(gru)
            loop = make_loop(
                directory, [recorder], model=model, max_steps=max_steps
            )
            assert loop.run(resume=True) == "finished"
    return [recorder.losses[step] for step in range(1, 21)]

folder = pathlib.Path(sys.argv[1])
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
print(json.dumps([
    losses(folder / "two", mirrored, [12, 20]),
    losses(folder / "one", tf.distribute.get_strategy(), [20]),
]))
"""


def test_two_devices_learn_as_one(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", MIRRORED, tmp_path],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    two, one = json.loads(ended.stdout.splitlines()[-1])
    assert len(one) == 20
    assert one[0] - one[-1] > 0.01
    np.testing.assert_allclose(two, one, atol=1e-5)
    assert all(math.isfinite(loss) for loss in two)


def test_strategy_is_the_default_one_by_default(tmp_path):
    assert (
        make_loop(tmp_path).train_step.strategy is tf.distribute.get_strategy()
    )
