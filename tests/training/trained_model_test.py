import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tflm
from tests.training.conftest import TINY
from tflm import config, training
from tflm.training.callbacks import BestWeights

LOAD = """
import sys
import numpy as np
import tflm

directory, ids, logits = sys.argv[1:]
trained = tflm.load(directory)
np.save(logits, trained.model(np.load(ids)))
print(trained.generate(["the ", ""], temperature=0.0, max_new_tokens=9))
"""


def test_load_in_another_process_gives_the_same_logits(uninterrupted, tmp_path):
    session = uninterrupted[0]
    model = session.best.kept
    run = shutil.copytree(session.run.path, tmp_path / "moved")
    # The weights as they are now, whether or not they were the best.
    BestWeights(model, run / "model.keras").write()
    random = np.random.default_rng(0)
    ids = random.integers(0, model.vocabulary_size, [3, 20]).astype(np.int32)
    np.save(tmp_path / "ids.npy", ids)
    paths = [run, tmp_path / "ids.npy", tmp_path / "logits.npy"]
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    logits = np.load(tmp_path / "logits.npy")
    np.testing.assert_array_equal(logits, model(ids))
    said = training.load(run).generate(
        ["the ", ""], temperature=0.0, max_new_tokens=9
    )
    assert ended.stdout.splitlines()[-1] == str(said)


def test_loaded_model_says_what_it_is(uninterrupted):
    run = uninterrupted[0].run
    trained = tflm.load(run.path)
    assert trained.name == "words"
    assert trained.config == run.config
    assert trained.config.model.units == TINY["units"]
    assert trained.model.compute_dtype == "float32"


def test_scores_and_next_tokens_are_those_of_the_logits(uninterrupted):
    trained = tflm.load(uninterrupted[0].run.path)
    ids = trained.tokenizer.tokenize("the cat").numpy()
    logits = trained.model(tf.constant([[2, *ids]]))[0]
    log_probs = tf.nn.log_softmax(logits).numpy()  # [T+1,V]
    scores = trained.score(["the cat", ""])
    expected = log_probs[np.arange(len(ids)), ids].sum()
    np.testing.assert_allclose(scores["log_prob"], [expected, 0], rtol=1e-5)
    assert scores["num_tokens"].tolist() == [len(ids), 0]
    found = trained.next_token_probabilities("the cat", k=1)
    assert found["probabilities"].shape == (1,)
    likeliest = np.exp(np.delete(log_probs[-1], [0, 2]).max())
    np.testing.assert_allclose(found["probabilities"][0], likeliest, rtol=1e-5)


def test_greedy_text_is_that_of_the_logits(uninterrupted):
    trained = tflm.load(uninterrupted[0].run.path)
    tokenizer = trained.tokenizer
    text = "the cat"
    for _ in range(12):
        ids = tf.concat([[tokenizer.start_id], tokenizer.tokenize(text)], 0)
        logits = trained.model(ids[tf.newaxis])[0, -1].numpy()
        logits[:4] = -np.inf  # the special tokens, END among them
        text += tokenizer.detokenize([logits.argmax()]).numpy().decode()
    settings = {"temperature": 0.0, "max_new_tokens": 12}
    assert trained.generate("the cat", **settings) == text
    assert trained.generate(["the cat"] * 2, **settings) == [text] * 2


def test_end_is_generated_only_where_there_was_one_to_learn(
    uninterrupted, tiny, tmp_path
):
    run = uninterrupted[0].run
    assert run.facts["end_is_generated"] is False
    assert tflm.load(run.path).allow_end is False

    rows = tmp_path / "rows.csv"
    paragraphs = Path(tiny["train_file"]).read_text().split("\n\n")
    rows.write_text("\n".join(["text", *paragraphs]))
    settings = {**tiny, "train_file": str(rows), "max_steps": 1}
    session = training.begin(config.from_flat(settings), tmp_path / "run")
    assert session.run.facts["end_is_generated"] is True
    session.best.write()
    assert training.load(session.run.path).allow_end is True


def test_run_without_weights_is_refused(uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted[0].run.path, tmp_path / "run")
    (run / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match="without model.keras"):
        training.load(run)


def test_damaged_weights_are_named(uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted[0].run.path, tmp_path / "run")
    path = run / "model.keras"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"run', whose model.keras is damage"):
        training.load(run)
