"""The commands from end to end, at a tiny size.

One run is trained in a process of its own, interrupted there, taken up again
here, and then used by the other commands.
"""

import functools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.training.conftest import write_text
from tflm import (
    config,
    evaluate,
    export,
    generate,
    generation,
    train,
    training,
)
from tflm.command_line import dialogue
from tflm.command_line import main as command_line
from tflm.training import report

SIZE = ["--units=12", "--embedding_dim=6", "--seq_len=16", "--batch_size=4"]
PACE = ["--log-every=5", "--evaluate_every=100000", "--precision=float32"]
RATE = ["--learning-rate=0.02", "--warmup_steps=5"]
SCORES = {
    "nats_per_token",
    "perplexity",
    "bits_per_token",
    "bits_per_character",
    "bits_per_byte",
    "tokens",
    "characters",
    "bytes",
    "unknown_share",
    "words",
    "word_perplexity",
    "nats_per_token_interval",
    "bits_per_byte_interval",
    "resampled",
    "history",
    "documents",
    "dataset",
    "xz_bits_per_byte",
    "kneser_ney_bits_per_byte",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the commands run in."""
    folder = tmp_path_factory.mktemp("commands")
    write_text(folder / "words.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        # Here TensorFlow is awake, and pytest looks after the warnings.
        patch.setattr(command_line, "start", lambda *unused: None)
        # Commands that follow one another use what has been traced.
        load = by_place(training.load)
        patch.setattr(training, "load", load)
        patch.setattr(report, "load", load)
        opened = by_place(generation.SavedModel)
        patch.setattr(generation, "SavedModel", opened)
        yield folder


def by_place(load):
    """Loads what is at a path once, however the path is written."""
    loaded = {}

    @functools.wraps(load)
    def kept(path):
        place = Path(path).resolve()
        if place not in loaded:
            loaded[place] = load(path)
        return loaded[place]

    return kept


@pytest.fixture(scope="module")
def interrupted(folder):
    """A run ended by Ctrl-C: its process's exit code and what it printed."""
    command = [sys.executable, "-m", "tflm.train", "--train_file", "words.txt"]
    bounds = ["--run-dir", "runs/words", "--max_steps", "100000"]
    exports = ["--export_dir", "my exports"]
    process = subprocess.Popen(
        [*command, *SIZE, *PACE, *RATE, *bounds, *exports],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = folder / "runs/words/metrics.jsonl"
    try:
        while process.poll() is None and len(lines_of(metrics)) < 3:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def interrupted_at(interrupted):
    step = re.search(r"interrupted at step ([\d,]+), ", interrupted[1])[1]
    return int(step.replace(",", ""))


@pytest.fixture(scope="module")
def run(folder, interrupted_at):
    """The same run, taken up again and trained to its end."""
    bound = ["--max_steps", str(interrupted_at + 60)]
    assert train.main(["--resume", *bound]) == 0
    return folder / "runs/words"


@pytest.fixture
def empty_folder(folder, monkeypatch, tmp_path):
    """A folder in which nothing may be left by a command that fails."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def outcome(capsys, command, *arguments):
    """A command's exit code, and what it says on either stream."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command_line.run(command.main, arguments)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_interrupted_run_is_saved_scored_and_says_how_to_go_on(
    folder, interrupted, interrupted_at
):
    code, out, err = interrupted
    assert code == 130, err
    assert err == ""  # nor does TensorFlow say a word
    run = folder / "runs/words"
    last = f"step_{interrupted_at:08d}"
    assert [path.name for path in (run / "checkpoints").iterdir()] == [last]
    assert out.splitlines()[-1] == (
        "go on with: python -m tflm.train --resume --run_dir runs/words "
        "--export_dir 'my exports'"
    )
    scores = json.loads((run / "evaluation.json").read_text())
    assert set(scores) == {"validation", "test"}
    assert not (folder / "my exports").exists()
    shown = dict(
        line.split(maxsplit=1) for line in out.splitlines()[:6] if line
    )
    assert shown["data"].startswith("words.txt: ")
    assert shown["time"].startswith("100,000 steps")
    assert shown["run"] == "runs/words"


def test_resumed_run_has_all_files_of_a_run(run, interrupted_at):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "README.md",
        "checkpoints",
        "config.json",
        "data_fingerprint.json",
        "evaluation.json",
        "loss_curve.png",
        "metrics.jsonl",
        "model.keras",
        "samples",
        "tensorboard",
        "tokenizer",
    }
    end = interrupted_at + 60
    steps = [
        json.loads(line)["step"] for line in lines_of(run / "metrics.jsonl")
    ]
    logged = list(range(5, end + 1, 5))
    assert steps[:-1] == logged  # each step once
    assert steps[-1] == end  # the evaluation
    assert list((run / "samples").iterdir()) == [
        run / "samples" / f"step_{end:08d}.txt"
    ]
    assert len(list((run / "tensorboard").iterdir())) == 2
    assert (run.parent.parent / "saved_models/words/1").is_dir()
    training = json.loads((run / "config.json").read_text())["training"]
    assert training["max_steps"] == end  # what it was trained to


def test_training_taught_something(run):
    scores = json.loads((run / "evaluation.json").read_text())["validation"]
    fingerprint = json.loads((run / "data_fingerprint.json").read_text())
    assert fingerprint["splits"]["validation"]["tokens"] == scores["tokens"]
    vocabulary = training.RunDirectory.open(run).tokenizer.vocabulary_size
    assert scores["nats_per_token"] < math.log(vocabulary) - 0.3


def test_run_and_saved_model_give_one_text_for_one_seed(capsys, run):
    settings = ["--temperature=0.9", "--top_k", "7", "--max-new-tokens", "30"]
    flags = ["--prompt", "the cat ", "", "--num_samples=2", *settings]
    # Without a name it is the newest run.
    newest = outcome(capsys, generate, *flags, "--seed", "1")
    saved = outcome(
        capsys, generate, "saved_models/words", *flags, "--seed", "1"
    )
    assert saved == newest
    other = outcome(capsys, generate, "runs/words", *flags, "--seed", "2")
    assert other != newest
    code, out, err = newest
    assert (code, err) == (0, "")
    texts = out.split("\n" + "-" * 40 + "\n")
    assert [text.startswith("the cat ") for text in texts[:2]] == [True, True]
    assert len(set(texts)) == 4


@pytest.mark.parametrize(
    "flags",
    [
        ["--stream", "--prompt", "the c"],
        ["--num_beams", "3", "--json", "--prompt", "the c", ""],
        ["--num_beams", "2", "--beam_method", "stochastic"],
        ["--num_beams", "2", "--beam_method", "multinomial", "--top_k", "5"],
    ],
    ids=str,
)
def test_every_way_gives_one_text_from_run_and_saved_model(capsys, run, flags):
    settings = ["--max_new_tokens", "12", "--seed", "4"]
    ways = [
        outcome(capsys, generate, model, *flags, *settings)
        for model in ("runs/words", "saved_models/words")
    ]
    assert ways[0] == ways[1]
    code, out, err = ways[0]
    assert (code, err) == (0, "")
    if "--json" in flags:
        rows = [json.loads(line) for line in out.splitlines()]
        assert [row["prompt"] for row in rows] == ["the c"] * 3 + [""] * 3
        assert rows[0]["score"] >= rows[1]["score"] >= rows[2]["score"]
        assert rows[0]["text"].startswith("the c")


def test_prompts_of_files_are_continued_in_batches(
    capsys, run, folder, monkeypatch
):
    settings = ["--json", "--seed", "3", "--max_new_tokens", "8"]
    (folder / "prompts.txt").write_text("the c\n\n  \na rat\r\nthe d\n")
    prompts = ["the c", "a rat", "the d"]
    ways = {
        "runs/words": ["--num_samples", "2"],
        "saved_models/words": ["--num_beams=2", "--beam_method=multinomial"],
    }
    for model, form in ways.items():
        given = [model, *settings, *form]
        told = outcome(capsys, generate, *given, "--prompt", *prompts)
        rows = [json.loads(line) for line in told[1].splitlines()]
        assert [row["prompt"] for row in rows[::2]] == prompts
        files = ["--prompt_file", "prompts.txt"]
        with monkeypatch.context() as patch:
            patch.setattr(generate, "_BATCH", 2)
            assert outcome(capsys, generate, *given, *files) == told


def test_unknown_pieces_are_reported_and_can_be_refused(capsys, run):
    prompts = ["--prompt", "a \u20acrat\u20ac", "the", "--max_new_tokens=3"]
    for model, how in (
        ("saved_models/words", "as the export says"),
        ("runs/words", "unk"),
    ):
        code, out, err = outcome(
            capsys, generate, model, "--json", *prompts, "--seed=1"
        )
        assert (code, err) == (
            0,
            "unknown pieces in the prompts: 2, '\u20ac' (2 times) "
            f"(on_oov: {how})\n",
        )
        rows = [json.loads(line) for line in out.splitlines()]
        assert [row["unknown"] for row in rows] == [{"\u20ac": 2}, {}]
        assert rows[0]["text"].startswith("a \u20acrat\u20ac")
    code, out, err = outcome(
        capsys, generate, "runs/words", *prompts, "--on_oov=error"
    )
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert last == (
        "error: a prompt must hold nothing that the vocabulary lacks. "
        "Received: unknown pieces=2 \u20ac \u20ac"
    )


def test_steps_are_those_of_the_text(capsys, run):
    given = ["--prompt", "the c", "a", "--seed=5", "--top_k=4", "--json"]
    given += ["--num_samples=2", "--max_new_tokens=6"]
    plain = outcome(capsys, generate, "runs/words", *given)
    shown = outcome(
        capsys, generate, "runs/words", *given, "--show_probabilities=3"
    )
    assert (shown[0], shown[2]) == (0, "")
    rows = [json.loads(line) for line in shown[1].splitlines()]
    for row in rows:
        steps = row.pop("steps")
        drawn = [c["text"] for step in steps for c in step if c["drawn"]]
        assert row["prompt"] + "".join(drawn) == row["text"]
        assert all(len(step) >= 3 for step in steps)
    assert rows == [json.loads(line) for line in plain[1].splitlines()]
    code, out, err = outcome(
        capsys, generate, "saved_models/words", "--show_probabilities=3"
    )
    assert (code, out) == (1, "")
    assert "`model` must be a run to show the probabilities" in err


@pytest.mark.parametrize("model", ["runs/words", "saved_models/words"])
def test_text_is_written_in_turns(capsys, run, monkeypatch, model):
    typed = iter(["", "/undo", "/choices 2", "/take 1", "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    given = [model, "--prompt", "the c", "--seed=5", "--max_new_tokens=6"]
    plain = outcome(capsys, generate, *given)[1].rstrip("\n")
    code, out, err = outcome(capsys, generate, *given, "--interactive")
    assert (code, err) == (0, "")
    assert out.startswith(dialogue.HELP + "\n" + plain + "\nthe c\n   1 ")
    assert out.splitlines()[-1].startswith("the c")
    assert len(out.splitlines()[-1]) == len("the c") + 1


def test_model_behind_the_prompt_is_told(capsys, run):
    code, out, err = outcome(
        capsys, generate, "--prompt", "the", "saved_models/words"
    )
    assert (code, out) == (2, "")
    assert "`prompt` has taken 'saved_models/words', which is a model" in err


def test_what_an_export_fixes_is_no_flag_for_it(capsys, run):
    model = "saved_models/words/1"
    code, out, err = outcome(capsys, generate, model, "--stop", "x")
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert "`stop` is fixed when a model is exported: give --stop" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_samples", "0"], "`num_samples` must be at least 1"),
        (["--num_beams", "2000"], "`num_beams` must be from 0 (off) to 1024"),
        (["--min_p", "2"], "`min_p` must be from 0 (off) to 1"),
        (["--no_repeat_ngram", "-1"], "`no_repeat_ngram` must be from 0"),
        (["--repetition_penalty", "0.5"], "at least 1 (off)"),
        (["--stop", ""], "`stop` must be strings that are not empty"),
        (["--stream", "--num_samples", "2"], "`stream` writes one text"),
        (["--stream", "--prompt_file", "a"], "`stream` writes one text"),
        (["--interactive", "--stream"], "`interactive` writes one text"),
        (["--interactive", "--prompt", "a", "b"], "`interactive` writes"),
        (["--show_probabilities", "-1"], "`show_probabilities` must be at"),
        (
            ["--show_probabilities", "2", "--num_beams", "2"],
            "leave out --num_beams",
        ),
        (["--temperature", "-1"], "`temperature` must be finite and at least"),
        (["--top_p", "0"], "`top_p` must be above 0 and at most 1"),
        (["--tempature", "1"], "did you mean '--temperature'?"),
    ],
)
def test_generate_refuses_wrong_settings(
    capsys, empty_folder, arguments, message
):
    code, out, err = outcome(capsys, generate, *arguments)
    assert (code, out) == (2, "")
    [line] = err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (generate, ["runs/word"], "`run` must be the directory of a run"),
        (evaluate, ["runs/word"], "`run` must be the directory of a run"),
        (export, ["runs/word"], "`run` must be the directory of a run"),
        (generate, [], "there is no run in 'runs': train one with"),
        (evaluate, [], "there is no run in 'runs': train one with"),
        (train, ["--resume"], "there is no run in 'runs': train one with"),
        (train, ["--resume", "--run_dir=x"], "`run` must be the directory"),
    ],
)
def test_missing_run_is_one_line(
    capsys, empty_folder, command, arguments, message
):
    code, out, err = outcome(capsys, command, *arguments)
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(empty_folder.iterdir()) == []


def test_evaluate_prints_a_json_object_a_split(capsys, run):
    code, out, err = outcome(capsys, evaluate, "runs/words")
    assert (code, err) == (0, "")
    figures = [json.loads(line) for line in out.splitlines()]
    assert [f["split"] for f in figures] == ["validation", "test"]
    saved = json.loads((run / "evaluation.json").read_text())
    assert figures == [saved["validation"], saved["test"]]
    for values in figures:
        assert set(values) == SCORES | {"split"}
        assert values["dataset"] == "words.txt"
        nats = values["nats_per_token"]
        assert values["perplexity"] == pytest.approx(math.exp(nats))
        assert values["bits_per_token"] == pytest.approx(nats / math.log(2))


def test_unknown_split_names_the_closest(capsys, run):
    code, out, err = outcome(capsys, evaluate, "--split", "tset")
    assert (code, out) == (2, "")
    assert "unknown split 'tset': did you mean 'test'?" in err


def test_evaluate_scores_files(capsys, folder, run):
    (folder / "one.txt").write_text("the cat sat")
    (folder / "two.txt").write_text("the Rat eats")
    flags = ["--text_file", "one.txt", "two.txt", "--cache-dir", "cache"]
    code, out, err = outcome(capsys, evaluate, "runs/words", *flags)
    assert (code, err) == (0, "")
    [line] = out.splitlines()
    figures = json.loads(line)
    assert set(figures) == SCORES
    assert figures["characters"] == figures["bytes"] == 23
    assert figures["tokens"] == 25  # an END for each file
    assert figures["unknown_share"] == 1 / 25
    # The unknown R costs its 8 bits besides.
    assert figures["bits_per_byte"] == pytest.approx(
        (figures["bits_per_token"] * 25 + 8) / 23
    )


def test_evaluate_takes_one_split_and_warns_where_the_text_has_changed(
    capsys, folder, run
):
    path = folder / "words.txt"
    before = path.read_text()
    path.write_text("the rat. " + before)
    try:
        code, out, err = outcome(capsys, evaluate, "--split", "test")
    finally:
        path.write_text(before)
    assert code == 0
    assert [json.loads(line)["split"] for line in out.splitlines()] == ["test"]
    [line] = err.splitlines()
    assert line.startswith("warning: the text of words.txt is not the one")


def test_export_takes_the_next_version_and_its_settings(capsys, folder, run):
    # Training has exported the first one.
    flags = ["runs/words", "--top-k", "3", "--temperature", "0"]
    said = outcome(capsys, export, *flags)
    assert said == (0, "saved_models/words/2\n", "")
    saved = folder / "saved_models/words/2/assets.extra/generation.json"
    settings = json.loads(saved.read_text())
    assert (settings["top_k"], settings["temperature"]) == (3, 0.0)
    report = json.loads(
        (folder / "saved_models/words/2/export_report.json").read_text()
    )
    assert len(report["texts"]) == len(report["settings"]) > 2
    warm_up = "saved_models/words/2/assets.extra/tf_serving_warmup_requests"
    assert (folder / warm_up).stat().st_size
    config = (folder / "saved_models/words/serving/models.config").read_text()
    assert 'name: "words"' in config


def test_a_run_is_never_written_over(capsys, run):
    before = sorted(run.rglob("*"))
    code, _, err = outcome(
        capsys, train, "--train_file", "words.txt", "--run_dir", "runs/words"
    )
    assert code == 1
    [line] = err.splitlines()
    assert "--resume" in line
    assert "another --run_dir" in line
    assert sorted(run.rglob("*")) == before


def test_only_bounds_change_when_a_run_is_resumed(capsys, run):
    code, _, err = outcome(capsys, train, "--resume", "--units", "5")
    assert code == 2
    [line] = err.splitlines()
    assert "`units` cannot change when a run is resumed; epochs, " in line


TEXTS = {
    "empty.txt": "",
    "short.txt": "to be, or not to be, that is the question",
}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--train_file", "empty.txt"], 1, "`train_file` must hold text"),
        (["--train_file", "emty.txt"], 1, "Did you mean 'empty.txt'?"),
        (["--train_file", "."], 1, "`train_file` must name a file, not a fol"),
        (["--train_file", "short.txt", "--seq_len=64"], 1, "--seq_len 3"),
        (["--train_file", "short.txt", "--sequ_len=4"], 2, "'--seq_len'"),
        (["--seq_len", "0"], 2, "`seq_len` must be at least 1"),
        (["--model", "grue"], 2, "unknown model 'grue': did you mean 'gru'?"),
        (["--max_steps", "many"], 2, "invalid int value: 'many'"),
        (["--config", "none.yaml"], 2, "`config` must be a file that can"),
        (["--export_dir", "short.txt"], 2, "`export_dir` must be a folder"),
        (["--export_dir", "short.txt/a/b"], 2, "`export_dir` must be a folder"),
        (["--learning_rate", "inf"], 2, "`learning_rate` must be finite"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(
    capsys, empty_folder, arguments, code, message
):
    for name, text in TEXTS.items():
        (empty_folder / name).write_text(text)
    arguments = [*arguments, "--cache_dir", os.fspath(empty_folder.parent)]
    found, out, err = outcome(capsys, train, *arguments)
    assert (found, out) == (code, "")
    [line] = err.splitlines()
    assert message in line
    assert {path.name for path in empty_folder.iterdir()} == set(TEXTS)


def test_seq_len_that_the_message_names_is_short_enough(
    capsys, empty_folder, monkeypatch
):
    """The way out that an error names is one."""
    (empty_folder / "short.txt").write_text(TEXTS["short.txt"])
    flags = ["--train_file=short.txt", f"--cache_dir={empty_folder.parent}"]
    _, _, err = outcome(capsys, train, *flags, "--seq_len=64")
    longest = re.search(r"--seq_len (\d+) or less", err)[1]
    begun = []

    def begin(settings, path):
        begun.append(training.session.prepare(settings))
        begun.append(training.session._sequences(settings, begun[0]))
        raise ValueError("far enough")

    monkeypatch.setattr(training, "begin", begin)
    _, _, err = outcome(capsys, train, *flags, "--seq_len", longest)
    assert err == "error: far enough\n"
    assert begun[1].windows_per_epoch == 1


@pytest.fixture
def begun(monkeypatch):
    """What `train` would begin with: settings and path."""
    seen = []

    def begin(settings, path):
        seen.append((settings, str(path)))
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "begin", begin)
    return seen


def test_flags_win_over_the_settings_file(capsys, empty_folder, begun):
    settings = {"units": 7, "seq_len": 9, "train_file": "a/b.c.txt"}
    (empty_folder / "own.yaml").write_text(yaml.safe_dump(settings))
    code, _, err = outcome(
        capsys, train, "--config", "own.yaml", "--units", "8"
    )
    assert (code, err) == (130, "\ninterrupted\n")
    expected = config.from_flat({**settings, "units": 8})
    assert begun == [(expected, "runs/b-gru")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("unitz: 7", "unknown setting 'unitz': did you mean 'units'?"),
        ("units: large", "`units` must be int. Received: units='large' (str)"),
        ("model: grue", "unknown model 'grue': did you mean 'gru'?"),
        ("units: 0", "`units` must be at least 1. Received: units=0"),
    ],
)
def test_settings_file_is_checked(capsys, empty_folder, begun, line, message):
    (empty_folder / "own.yaml").write_text(line)
    code, out, err = outcome(capsys, train, "--config=own.yaml")
    assert (code, out) == (2, "")
    [said] = err.splitlines()
    assert message in said
    assert begun == []


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ([], "runs/python_docs-gru"),
        (["--model=lstm"], "runs/python_docs-lstm"),
        (["--dataset=wiki40b/en"], "runs/wiki40b_en-gru"),
        (["--train_file", "data/my text.txt", "b"], "runs/my_text-gru"),
        (["--train_file", "-"], "runs/text-gru"),
        (["--train_file", ".txt"], "runs/text-gru"),
        (["--run_dir", "my/run"], "my/run"),
    ],
)
def test_runs_are_named_by_their_text_and_model(
    capsys, empty_folder, begun, arguments, path
):
    outcome(capsys, train, *arguments)
    assert [where for _, where in begun] == [path]


def test_traceback_is_shown_with_verbose(capsys, empty_folder):
    flags = ["--train_file", "none.txt", "--verbose"]
    code, _, err = outcome(capsys, train, *flags)
    assert code == 1
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.splitlines()[-1].startswith("error: `train_file` must name")


def test_resumed_losses_go_on_falling(run):
    entries = [json.loads(line) for line in lines_of(run / "metrics.jsonl")]
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
