"""The whole recipe on WikiText from its archive: train, score, export."""

import json

import pytest
import tensorflow as tf

from tflm import train, training
from tflm.command_line import main as command_line

SIZE = "--units 8 --embedding_dim 4 --seq_len 16 --batch_size 4 --max_steps 3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_archive):
    """The folder that the recipe runs in, with nothing but the archive."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "data").mkdir()
    write_archive(folder / "data" / "wikitext-2-v1.zip")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        patch.setattr(command_line, "start", lambda *unused: None)
        yield folder


@pytest.fixture
def check_run(folder, members, capsys):
    """Trains a run, which has to score the whole of each split."""

    def check(path, flags):
        flags = f"--dataset wikitext-2 --data_dir data {flags} {SIZE}"
        assert train.main(flags.split()) == 0
        files = members()
        said = json.loads((folder / path / "evaluation.json").read_text())
        assert set(said) == {"validation", "test"}
        for split, name in (("validation", "valid"), ("test", "test")):
            text = files[f"wikitext-2/wiki.{name}.tokens"]
            text = text.decode() if isinstance(text, bytes) else text
            assert said[split]["characters"] == len(text)
            assert said[split]["bytes"] == len(text.encode())
        assert "--- a sample" in capsys.readouterr().out

    return check


def test_recipe_runs_without_a_network(check_run):
    check_run("runs/wikitext-2-gru", "--tokenizer words")
    loaded = tf.saved_model.load("saved_models/wikitext-2-gru/1")
    said = loaded.signatures["serving_default"](prompt=tf.constant(["The"]))
    assert said["text"].numpy()[0].startswith(b"The")


def test_characters_are_scored_as_well(check_run, monkeypatch):
    def train(session, resume):
        session.best.write()
        return "untrained"

    # Steps and an export of characters are tested elsewhere.
    exports = []
    monkeypatch.setattr(training.session.Session, "train", train)
    monkeypatch.setattr(
        training.TrainedModel, "export", lambda *where: exports.append(where)
    )
    flags = "--tokenizer characters --run_dir runs/characters"
    check_run("runs/characters", flags)
    assert len(exports) == 1
