import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import KILLED_AT, WORDS, Recorder
from tflm import config, training
from tflm.pipelines import Windows
from tflm.tokenizers import Characters
from tflm.training import device
from tflm.training.checkpoints import Checkpoints

CHECKPOINT = 30  # the last one before the run is killed

# The command itself, in a process that dies as the power goes out.
KILLED_COMMAND = f"""
import os, signal, sys
from tflm import train
from tflm.training.callbacks import MetricsFile, Samples

write = MetricsFile.on_log

def write_and_die(self, step, logs):
    write(self, step, logs)
    if step == {KILLED_AT}:
        os.kill(os.getpid(), signal.SIGKILL)

MetricsFile.on_log = write_and_die
Samples.on_epoch_end = lambda *_: None  # the run beside it has them
train.main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def killed(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "runs" / "words"
    flags = [f"--{name}={value}" for name, value in tiny.items()]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_COMMAND, *flags, f"--run_dir={path}"],
        cwd=path.parent.parent,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return path


@pytest.fixture
def killed_copy(killed, tmp_path):
    return shutil.copytree(killed, tmp_path / "runs" / "words")


class EnoughError(Exception):
    pass


class EnoughAfter(Recorder):
    """A recorder that ends training without the work of an ordinary end."""

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if batch + 1 == self.last:
            raise EnoughError


def resumed(path, recorder):
    session = training.resume(path, {}, [recorder])
    try:
        session.train(resume=True)
    except EnoughError:
        session.loop.callbacks.on_train_end()
    return recorder.record(CHECKPOINT + 1)


def test_killed_run_was_killed_between_checkpoints(killed):
    [checkpoint] = (killed / "checkpoints").glob("step_*")
    assert checkpoint.name == "step_00000030"
    lines = (killed / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == KILLED_AT


def test_killed_run_goes_on_bit_for_bit(killed_copy, uninterrupted):
    session, reason, recorder = uninterrupted
    expected = recorder.record(CHECKPOINT + 1)
    assert len(expected.losses) == 20
    assert resumed(killed_copy, Recorder(KILLED_AT)) == expected

    # So to the end: the last checkpoint, every log, what the callbacks hold.
    run = session.run.path
    assert reason == "finished"
    last = sorted((run / "checkpoints").iterdir())[-1].name
    ours, theirs = (
        np.load(path / "checkpoints" / last / "variables.npz")
        for path in (killed_copy, run)
    )
    assert ours.files == theirs.files
    for name in ours.files:
        assert ours[name].tobytes() == theirs[name].tobytes(), name
    assert untimed(killed_copy) == untimed(run)
    ours, theirs = (
        json.loads((path / "checkpoints" / last / "state.json").read_text())
        for path in (killed_copy, run)
    )
    assert ours["state"]["callbacks"] == theirs["state"]["callbacks"]
    assert ours["state"]["callbacks"]["5 EarlyStopping"]["best"] < 3


@pytest.mark.parametrize("parts", [1, 2])
def test_run_goes_on_in_the_parts_that_it_began_with(
    tiny, tmp_path, monkeypatch, parts
):
    path = tmp_path / "run"
    monkeypatch.setattr(device, "row_parts", lambda settings: parts)
    begun = training.begin(config.from_flat(tiny), path)
    monkeypatch.setattr(device, "row_parts", lambda settings: 4)
    for session in (begun, training.resume(path, {})):
        assert session.loop.train_step.parts == session.run.row_parts == parts


def untimed(run):
    """The lines of the metrics without what the clock decides."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    timed = ("seconds", "tokens_per_second")
    return [
        {k: v for k, v in json.loads(line).items() if k not in timed}
        for line in lines
    ]


def without_optimizer(monkeypatch):
    leave_out(monkeypatch, lambda self: self.optimizer.variables)


def without_random_state(monkeypatch):
    leave_out(
        monkeypatch,
        lambda self: [
            v for v in self.model.variables if "seed_generator" in v.path
        ],
    )


def without_position(monkeypatch):
    dataset = Windows.dataset
    monkeypatch.setattr(
        Windows, "dataset", lambda self, step, epochs: dataset(self, 0, epochs)
    )


def leave_out(monkeypatch, chosen):
    """Keeps restore from changing the variables that `chosen` gives."""
    make, restore = Checkpoints.__init__, Checkpoints.restore

    def made(self, directory, model, optimizer):
        make(self, directory, model, optimizer)
        self.model, self.optimizer = model, optimizer

    def restored(self):
        left_out = chosen(self)
        assert left_out
        before = [np.array(variable.value) for variable in left_out]
        state = restore(self)
        for variable, value in zip(left_out, before, strict=True):
            variable.assign(value)
        return state

    monkeypatch.setattr(Checkpoints, "__init__", made)
    monkeypatch.setattr(Checkpoints, "restore", restored)


@pytest.mark.parametrize(
    "sabotage", [without_optimizer, without_position, without_random_state]
)
def test_each_part_of_the_restored_state_matters(
    monkeypatch, killed_copy, uninterrupted, sabotage
):
    recorder = uninterrupted[2]
    sabotage(monkeypatch)
    ours = resumed(killed_copy, EnoughAfter(KILLED_AT))
    theirs = recorder.record(CHECKPOINT + 1)
    assert len(ours.losses) == len(theirs.losses) == 20
    assert ours.losses != theirs.losses
    assert len(ours.digests) == len(theirs.digests) > 0
    assert ours.digests != theirs.digests


def test_bounds_given_to_a_resumed_run_are_its_own_from_then_on(killed_copy):
    session = training.resume(killed_copy, {"max_steps": 40})
    assert session.loop.total_steps == 40  # not the three epochs
    again = training.resume(killed_copy, {})
    assert again.loop.total_steps == 40
    settings = again.run.config.training
    assert (settings.epochs, settings.max_steps) == (None, 40)


def test_run_is_trained_by_one_at_a_time(killed_copy):
    run = training.RunDirectory.open(killed_copy)
    before = run.config
    with run.locked(), pytest.raises(BlockingIOError, match="another one is"):
        training.resume(killed_copy, {"max_steps": 40})
    assert run.config == before
    refused = []

    class Other(EnoughAfter):
        def on_train_batch_end(self, batch, logs=None):
            try:
                with run.locked():
                    pass
            except BlockingIOError:
                refused.append(batch)
            super().on_train_batch_end(batch, logs)

    resumed(killed_copy, Other(CHECKPOINT + 2))
    assert refused == [CHECKPOINT, CHECKPOINT + 1]
    with run.locked():  # and free when training has ended
        pass


def test_resume_refuses_another_text(tiny, uninterrupted, tmp_path):
    run = uninterrupted[0].run
    copy = shutil.copytree(run.path, tmp_path / "run")
    other = tmp_path / "words.txt"
    text = Path(tiny["train_file"]).read_text()
    other.write_text(text.replace("cat", "cap", 1))
    saved = (copy / "config.json").read_text()
    (copy / "config.json").write_text(
        saved.replace(tiny["train_file"], str(other))
    )
    with pytest.raises(ValueError, match="words.txt is not the one that"):
        training.resume(copy, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seq_len": 10**6}, "give more text or --seq_len"),
        ({"validation_file": "nothing.txt"}, "`validation_file` must name a"),
    ],
)
def test_nothing_is_written_before_all_is_good(
    tiny, tmp_path, changes, message
):
    path = tmp_path / "runs" / "words"
    with pytest.raises((ValueError, OSError), match=message):
        training.begin(config.from_flat({**tiny, **changes}), path)
    assert not path.parent.exists()


def test_tokenizer_that_is_given_is_the_runs(tiny, tmp_path):
    given = Characters("".join(sorted(set("".join(WORDS)))))
    settings = config.from_flat({**tiny, "epochs": None, "max_steps": 1})
    session = training.begin(settings, tmp_path / "run", tokenizer=given)
    # What it lacks, the space and the newline, is unknown: it was not trained.
    assert session.text.stores["train"].counts.unknown_tokens > 0
    assert session.model.vocabulary_size == given.vocabulary_size
    kept = training.RunDirectory.open(tmp_path / "run").tokenizer
    assert kept.fingerprint() == given.fingerprint()
