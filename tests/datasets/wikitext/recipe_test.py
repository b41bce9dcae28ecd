"""The whole recipe on WikiText from its archive: train, score, export."""

import json

import pytest
import tensorflow as tf

from tflm import train
from tflm.command_line import main as command_line

SIZE = "--units 8 --embedding_dim 4 --seq_len 16 --batch_size 4 --max_steps 3"


@pytest.mark.parametrize("tokenizer", ["characters", "words"])
def test_recipe_runs_without_a_network(
    tokenizer, write_archive, members, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(command_line, "start", lambda *unused: None)
    (tmp_path / "data").mkdir()
    write_archive(tmp_path / "data" / "wikitext-2-v1.zip")
    flags = f"--dataset wikitext-2 --data_dir data --tokenizer {tokenizer}"
    assert train.main([*flags.split(), *SIZE.split()]) == 0

    files = members()
    said = json.loads(
        (tmp_path / "runs/wikitext-2-gru/evaluation.json").read_text()
    )
    assert set(said) == {"validation", "test"}
    for split, name in (("validation", "valid"), ("test", "test")):
        text = files[f"wikitext-2/wiki.{name}.tokens"]
        text = text.decode() if isinstance(text, bytes) else text
        assert said[split]["characters"] == len(text)
        assert said[split]["bytes"] == len(text.encode())
    assert "--- a sample" in capsys.readouterr().out
    loaded = tf.saved_model.load("saved_models/wikitext-2-gru/1")
    said = loaded.signatures["serving_default"](prompt=tf.constant(["The"]))
    assert said["text"].numpy()[0].startswith(b"The")
