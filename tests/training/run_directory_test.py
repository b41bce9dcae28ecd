import dataclasses
import json
import os
import subprocess
import sys

import pytest

from tflm import __version__, config
from tflm.tokenizers import Characters
from tflm.training import RunDirectory, free_name, newest

CONFIG = config.from_flat(
    {"units": 33, "max_steps": 4, "train_file": "a.txt", "tie_embeddings": True}
)
FACTS = {"precision": "float32", "end_is_generated": True}


def create(path, tokenizer=None):
    tokenizer = tokenizer or Characters("ab")
    return RunDirectory.create(path, CONFIG, tokenizer, {"dataset": "a"}, FACTS)


def test_everything_comes_back(tmp_path):
    tokenizer = Characters("añ日")
    create(tmp_path / "runs" / "one", tokenizer)
    run = RunDirectory.open(str(tmp_path / "runs" / "one"))
    assert run.config == CONFIG
    assert run.tokenizer.fingerprint() == tokenizer.fingerprint()
    assert run.fingerprint == {"dataset": "a"}
    assert run.facts["tflm"] == __version__
    assert {name: run.facts[name] for name in FACTS} == FACTS
    names = sorted(path.name for path in run.path.iterdir())
    assert names == [
        "checkpoints",
        "config.json",
        "data_fingerprint.json",
        "samples",
        "tensorboard",
        "tokenizer",
    ]


def test_config_is_json_by_group(tmp_path):
    run = create(tmp_path / "one")
    saved = json.loads((run.path / "config.json").read_text())
    assert saved["model"]["units"] == 33
    assert saved["data"]["train_file"] == ["a.txt"]


@pytest.mark.parametrize("folder", [True, False])
def test_nothing_is_written_over(tmp_path, folder):
    path = tmp_path / "taken"
    path.mkdir() if folder else path.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        FileExistsError,
        match=r"run_dir=.*taken, which exists\. Give another --run_dir$",
    ):
        create(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_run_that_is_there_can_be_continued(tmp_path):
    create(tmp_path / "taken")
    with pytest.raises(
        FileExistsError,
        match=r"taken, .*\. Continue .* --resume, or .* --run_dir$",
    ):
        create(tmp_path / "taken")


def test_settings_can_be_rewritten_and_the_rest_stays(tmp_path):
    run = create(tmp_path / "one")
    path = run.path / "config.json"
    os.utime(path, (100, 100))
    facts, settings = run.facts, run.config
    longer = settings.training.bounded({"max_steps": 7})
    run.keep(dataclasses.replace(settings, training=longer))
    assert run.config.training.max_steps == 7
    assert run.config.training == longer
    assert run.config.model == settings.model
    assert run.facts == facts
    assert path.stat().st_mtime == 100
    kept = path.stat().st_ino
    run.keep(run.config)
    assert path.stat().st_ino == kept  # nothing to write


def test_run_is_locked_for_others_and_free_again(tmp_path):
    run = create(tmp_path / "one")
    with run.locked():
        before = sorted(run.path.iterdir())
        with (
            pytest.raises(BlockingIOError, match="one process at a time.*one,"),
            run.locked(),
        ):
            pass
    with run.locked():
        pass
    assert sorted(run.path.iterdir()) == before


def test_lock_ends_with_its_process(tmp_path):
    run = create(tmp_path / "one")
    code = (
        "import fcntl, os, sys\n"
        "handle = os.open(sys.argv[1], os.O_RDONLY)\n"
        "fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, run.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        other.stdout.readline()
        with pytest.raises(BlockingIOError), run.locked():
            pass
        other.kill()
        other.wait()
    with run.locked():
        pass


def test_saved_model_is_told_from_a_run(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    for path in (tmp_path, tmp_path / "1"):
        with pytest.raises(FileNotFoundError, match="not a SavedModel: tflm"):
            RunDirectory.open(path)


@pytest.mark.parametrize("name", ["config.json", "data_fingerprint.json"])
def test_damaged_file_is_named(tmp_path, name):
    run = create(tmp_path / "one")
    (run.path / name).write_text('{"model": ')
    with pytest.raises(ValueError, match=f"{name} must be JSON .* damaged: "):
        _ = (run.config, run.fingerprint)


def test_run_is_made_whole_or_not_at_all(tmp_path):
    class Unwritable(Characters):
        def save(self, directory):
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        create(tmp_path / "one", Unwritable("ab"))
    assert list(tmp_path.iterdir()) == []


def test_open_names_the_runs_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="run='x'. Runs here: none"):
        RunDirectory.open("x")
    create("runs/one")
    with pytest.raises(FileNotFoundError, match="Runs here: runs/one$"):
        RunDirectory.open("runs")


def test_newest_is_the_run_begun_last(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run in .* train one with"):
        newest(tmp_path)
    for name, begun in (("b", 100), ("c", 300), ("a", 200)):
        run = create(tmp_path / name)
        os.utime(run.path / "config.json", (begun, begun))
    (tmp_path / "no_run").mkdir()
    assert newest(tmp_path) == tmp_path / "c"


def test_free_name_counts_on(tmp_path):
    assert free_name("one", tmp_path) == tmp_path / "one"
    (tmp_path / "one").mkdir()
    assert free_name("one", tmp_path) == tmp_path / "one-2"
    (tmp_path / "one-2").write_text("a file is in the way too")
    assert free_name("one", tmp_path) == tmp_path / "one-3"
