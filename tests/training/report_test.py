import json
import math
import re
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from tflm import config, models, training
from tflm.training import report
from tflm.training.run_directory import RunDirectory
from tflm.training.scores import evaluate_files, text_of


@pytest.fixture(scope="module")
def trained(uninterrupted):
    return training.load(uninterrupted[0].run.path)


@pytest.fixture(scope="module")
def figures(uninterrupted, trained):
    return report.evaluate(trained, uninterrupted[0].text, ["validation"])


def nats_of(trained, text, ends):
    """The nats of a text read in one piece, from the probabilities."""
    tokenizer = trained.tokenizer
    ids = tokenizer.tokenize(text).numpy().tolist()
    ids = [tokenizer.start_id, *ids] + [tokenizer.end_id] * ends
    logits = trained.model(np.array([ids[:-1]]))[0].numpy().astype(float)
    targets = logits[np.arange(len(ids) - 1), ids[1:]]
    return (np.log(np.exp(logits).sum(axis=-1)) - targets).sum()


def test_scores_are_those_of_the_text_read_at_once(
    uninterrupted, trained, figures
):
    text = uninterrupted[0].text
    [piece] = text.text.splits["validation"].as_numpy_iterator()
    nats = nats_of(trained, piece["text"].decode(), ends=0)
    characters = len(piece["text"])
    assert set(figures) == {"validation"}
    scores = figures["validation"]
    assert scores["split"] == "validation"
    assert scores["dataset"] == "words.txt"
    assert scores["characters"] == scores["bytes"] == characters
    assert scores["tokens"] == characters
    assert scores["bits_per_character"] == pytest.approx(
        nats / math.log(2) / characters, rel=1e-5
    )
    assert 0 < scores["xz_bits_per_byte"] < 8


def test_evaluation_on_the_way_is_close_to_the_exact_one(
    uninterrupted, figures
):
    metrics = uninterrupted[0].run.metrics.read_text().splitlines()
    losses = [json.loads(line).get("val_loss", 99) for line in metrics]
    exact = figures["validation"]["nats_per_token"]
    assert min(losses) == pytest.approx(exact, rel=0.01)


def test_files_are_scored_whole(trained, tiny, tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("the cat sat, not the dog")
    settings = {"validation_fraction": 0.0, "test_fraction": 0.0}
    scores = evaluate_files(
        trained,
        config.from_flat(
            {
                "train_file": str(path),
                "cache_dir": tiny["cache_dir"],
                **settings,
            }
        ),
    )
    nats = nats_of(trained, path.read_text(), ends=1)
    assert scores["tokens"] == 25
    assert scores["nats_per_token"] == pytest.approx(nats / 25, rel=1e-5)
    unknown = sum(letter in ",g" for letter in path.read_text())
    assert scores["unknown_share"] == unknown / 25


def test_text_can_be_read_again(trained, uninterrupted):
    text = text_of(trained, {})
    assert text.fingerprint() == uninterrupted[0].run.fingerprint


def test_card_and_scores_are_written(uninterrupted, trained, figures, tmp_path):
    path = shutil.copytree(uninterrupted[0].run.path, tmp_path / "run")
    run = RunDirectory(path)
    report.write_card(run, trained, figures, "a sample of text")
    assert json.loads(run.evaluation.read_text()) == figures
    card = run.card.read_text()
    scores = figures["validation"]
    assert f"| validation | {scores['nats_per_token']:.4f} |" in card
    assert "a sample of text" in card
    assert "| units | 16 |" in card
    assert "max_steps" not in card  # it was not set
    image = tf.io.decode_png((path / report.CURVE).read_bytes())
    assert image.shape[:2] == (400, 700)
    # There is a curve: other colours than those of an empty one.
    run.metrics.unlink()
    report.draw_curve(run)
    empty = tf.io.decode_png((path / report.CURVE).read_bytes())
    assert len(colours(image)) > len(colours(empty))


def colours(image):
    return np.unique(image.numpy().reshape(-1, image.shape[-1]), axis=0)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"max_minutes": 2.5}, "2.5 minutes of training, then"),
        ({"max_steps": 5}, "5 steps, then"),
        ({"max_minutes": 2.0, "max_steps": 5}, "2 minutes of .* or 5 steps,"),
    ],
)
def test_header_says_when_training_ends(capsys, uninterrupted, bounds, said):
    session = uninterrupted[0]
    lines = header(session, session.run, session.model, bounds, capsys)
    assert re.match(said, lines["time"])
    assert lines["run"] == str(session.run.path)
    # Three gates, and 19 rows of embedding, projection and bias.
    count = 3 * (8 * 16 + 16 * 16 + 2 * 16) + 19 * (8 + 16 + 1)
    assert lines["model"].startswith(f"gru, 1 x 16 units, {count:,} param")
    assert lines["vocabulary"].endswith("characters, 0 unknown")


def test_header_says_how_wide_a_gpt_is(capsys, uninterrupted):
    session = uninterrupted[0]
    settings = config.ModelConfig(
        model="gpt", embedding_dim=8, num_layers=1, num_heads=2, context=4
    )
    model = models.build(settings, vocabulary_size=19)
    shown = types.SimpleNamespace(
        path=session.run.path,
        facts=session.run.facts,
        config=types.SimpleNamespace(model=settings),
    )
    lines = header(session, shown, model, {"max_steps": 5}, capsys)
    assert lines["model"].startswith("gpt, 1 x width 8, ")


def header(session, run, model, bounds, capsys):
    """What is printed before training, by its first words."""
    loop = types.SimpleNamespace(
        settings=config.TrainingConfig(**bounds),
        total_steps=bounds.get("max_steps"),
    )
    shown = types.SimpleNamespace(
        run=run, text=session.text, model=model, loop=loop
    )
    report.print_header(shown)
    printed = capsys.readouterr().out.splitlines()
    return dict(line.split(maxsplit=1) for line in printed)
