"""The command `score`, on a run whose weights are those that it began with."""

import functools
import gzip
import io
import json
import math
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import write_text
from tflm import config, score, training
from tflm.command_line import main as command_line

SETTINGS = {"units": 12, "embedding_dim": 6, "seq_len": 8, "batch_size": 2}
SENTENCES = ["the cat sat on a mat", "mat a on sat cat the", "the Zat sat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the command runs in, with a run and its export."""
    folder = tmp_path_factory.mktemp("score")
    write_text(folder / "words.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Here TensorFlow is awake, and pytest looks after the warnings.
        patch.setattr(command_line, "start", lambda *unused: None)
        files = {"train_file": "words.txt", "cache_dir": "cache"}
        settings = config.from_flat({**SETTINGS, **files})
        session = training.begin(settings, folder / "runs" / "words")
        session.best.write()
        # Commands that follow one another use what has been traced.
        patch.setattr(training, "load", functools.cache(training.load))
        training.load("runs/words").export("saved_models/words")
        yield folder


@pytest.fixture(scope="module")
def trained(folder):
    return training.load("runs/words")


@pytest.fixture
def outcome(folder, capsys):
    """Runs the command: its exit code, and what it says on either stream."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            command_line.run(score.main, arguments)
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def lines(outcome):
    """Runs the command and reads its JSON lines."""

    def run(*arguments):
        code, out, err = outcome(*arguments)
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    return run


def costs_of(trained, text):
    """The nats of each token, from one pass over the text."""
    ids = trained.tokenizer.tokenize(text).numpy()
    logits = trained.model(np.array([[2, *ids]]))[0].numpy().astype(float)
    shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -shares[np.arange(len(ids)), ids]


def test_figures_are_those_of_the_text_read_at_once(trained, lines):
    found = lines(
        "runs/words", "--text", *SENTENCES[:2], "--text", SENTENCES[2]
    )
    assert [figures["text"] for figures in found] == SENTENCES
    for text, figures in zip(SENTENCES, found, strict=True):
        nats = costs_of(trained, text).sum()
        size = len(text)
        # The unknown Z costs its 8 bits besides.
        bits = nats / math.log(2) + 8 * text.count("Z")
        assert figures == {
            "text": text,
            "log_prob": pytest.approx(-nats, rel=1e-5),
            "tokens": size,
            "bytes": size,
            "bits_per_byte": pytest.approx(bits / size, rel=1e-5),
            "perplexity": pytest.approx(math.exp(nats / size), rel=1e-5),
        }


def test_saved_model_and_newest_run_give_the_figures_of_the_run(lines):
    texts = ["--text", *SENTENCES, ""]
    expected = lines("runs/words", *texts)
    assert lines(*texts) == expected
    for found, figures in zip(
        lines("saved_models/words", *texts), expected, strict=True
    ):
        assert set(found) == set(figures)
        for name, value in figures.items():
            if isinstance(value, float):
                value = pytest.approx(value, rel=1e-5)
            assert found[name] == value


def test_text_without_tokens_has_no_figure_for_each(lines):
    [figures] = lines("--text", "")
    assert (figures["log_prob"], figures["tokens"]) == (0, 0)
    assert figures["bits_per_byte"] is figures["perplexity"] is None


def test_rank_puts_the_likeliest_first(lines):
    texts = ["", *SENTENCES, "the", "a mat"]
    found = lines("--rank", "--text", *texts)
    *ranked, last = [figures["log_prob"] for figures in found]
    assert ranked == sorted(ranked, reverse=True)
    assert {figures["text"] for figures in found} == set(texts)
    assert found[-1]["text"] == ""
    assert last == 0


def test_figures_that_are_infinite_are_null():
    figures = score.Cost(b"a", math.inf, 1, 0).figures()
    assert figures["log_prob"] is figures["perplexity"] is None
    assert score.Cost(b"a", 1e4, 1, 0).figures()["perplexity"] is None
    json.dumps(figures, allow_nan=False)


def test_files_have_a_text_a_line(folder, lines, monkeypatch):
    (folder / "a.txt").write_bytes(b"the cat\r\n\n  \nsat\xc2\x85on")
    with gzip.open(folder / "b.txt.gz", "wb") as file:
        file.write(b"a mat\n")
    found = lines("--text_file", "a.txt", "b.txt.gz", "--text", "first")
    texts = ["first", "the cat", "sat\x85on", "a mat"]
    assert [figures["text"] for figures in found] == texts
    [whole] = lines("--text-file", "a.txt", "--whole")
    assert whole["text"] == "the cat\r\n\n  \nsat\x85on"
    stdin = types.SimpleNamespace(buffer=io.BytesIO(b"the rat\nsat"))
    monkeypatch.setattr("sys.stdin", stdin)
    found = lines("--text_file", "-")
    assert [figures["text"] for figures in found] == ["the rat", "sat"]
    (folder / "c.txt").write_bytes("cat\né".encode("latin-1"))
    found = lines("--text_file", "c.txt", "--encoding=latin-1")
    assert [figures["bytes"] for figures in found] == [3, 2]


def test_many_texts_keep_their_order(trained, lines, folder):
    texts = [f"the cat sat {'mat ' * (n * 37 % 11)}." for n in range(150)]
    (folder / "many.txt").write_text("\n".join(texts))
    found = lines("--text_file", "many.txt")
    assert [figures["text"] for figures in found] == texts
    for figures in found[::29]:
        nats = costs_of(trained, figures["text"]).sum()
        assert figures["log_prob"] == pytest.approx(-nats, rel=1e-5)


def test_tokens_have_their_bytes_and_costs(trained, lines):
    texts = ["a é", "the"]
    found = lines("--per_token", "--text", *texts)
    assert [figures["text"] for figures in found] == [0] * 3 + [1] * 3
    assert [figures["token"] for figures in found] == list("a éthe")
    places = [(figures["begin"], figures["end"]) for figures in found]
    assert places == [(0, 1), (1, 2), (2, 4), (0, 1), (1, 2), (2, 3)]
    expected = np.concatenate([costs_of(trained, text) for text in texts])
    nats = np.array([figures["nats"] for figures in found])
    np.testing.assert_allclose(nats, expected, rtol=1e-5)
    bits = [figures["bits"] for figures in found]
    np.testing.assert_allclose(bits, nats / math.log(2))
    assert [figures["unknown"] for figures in found].index(True) == 2
    ranked = lines("--per_token", "--rank", "--text", *texts[::-1])
    likelier = min(texts, key=lambda text: costs_of(trained, text).sum())
    assert ranked[0]["token"] == likelier[0]


def test_picture_has_colours_in_a_terminal_alone(outcome, monkeypatch):
    arguments = ["--picture", "--text", "the cat"]
    monkeypatch.delenv("NO_COLOR", raising=False)
    code, plain, err = outcome(*arguments)
    assert (code, err) == (0, "")
    assert "\x1b" not in plain
    tokens = [line.split("'")[1] for line in plain.splitlines()]
    assert tokens == list("the cat")
    monkeypatch.setattr(score, "_is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    _, coloured, _ = outcome(*arguments)
    assert "\x1b[" in coloured
    assert "bits:" in coloured
    monkeypatch.setenv("TERM", "dumb")
    assert outcome(*arguments)[1] == plain
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert outcome(*arguments)[1] == plain


def test_page_is_written_beside_the_figures(folder, lines):
    found = lines("--text", "the <cat>", "--html", "picture.html")
    assert [figures["text"] for figures in found] == ["the <cat>"]
    page = (folder / "picture.html").read_text()
    assert "&lt;" in page
    assert "http" not in page
    assert not list(folder.glob(".picture*"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "there is nothing to score: give --text or --text_file"),
        (["--txt", "a"], 2, "unknown flag '--txt': did you mean '--text'?"),
        (["--text", "a", "--per_token", "--picture"], 2, "not allowed with"),
        (["--text=a", "--html=no/a.html"], 2, "`html` must be a file in a fol"),
        (["--text", "a", "runs/words"], 2, "`text` has taken 'runs/words'"),
        (["runs/x", "--text=a"], 1, "`run` must be the directory of a run"),
        (["--text_file=empty.txt"], 1, "`text_file` must hold text"),
        (["--text_file=none.txt"], 1, "`text_file` must name a file that"),
        (["--text_file=latin.txt"], 1, "`text_file` must be text in utf-8"),
        (
            ["saved_models/words", "--per_token", "--text=a"],
            1,
            "`model` must be a run to show what single tokens cost",
        ),
        (
            ["old", "--text=a"],
            1,
            "`model` must be a SavedModel with the signature `score`: export",
        ),
    ],
)
def test_wrong_use_is_one_line(folder, outcome, arguments, code, message):
    (folder / "empty.txt").write_text("\n \n")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    if not (folder / "old").exists():
        tf.saved_model.save(tf.Module(), folder / "old")
    found, out, err = outcome(*arguments)
    assert (found, out) == (code, "")
    [line] = err.splitlines()
    assert message in line


def test_interruption_ends_it_without_a_traceback(outcome, monkeypatch):
    def interrupt(*unused):
        raise KeyboardInterrupt

    monkeypatch.setattr(score, "_in_batches", interrupt)
    assert outcome("--text", "a") == (130, "", "\ninterrupted\n")
