import json
import os

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
        match=r"run_dir=.*taken\. Continue .* --resume, or .* --run_dir",
    ):
        create(path)
    assert sorted(tmp_path.rglob("*")) == before


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
