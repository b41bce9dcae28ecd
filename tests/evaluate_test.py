import json
import math

import pytest

from tests.runs import make_run
from tests.training.conftest import write_text
from tflm import evaluate
from tflm.command_line import main as command_line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the command runs in, with a run of random weights."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        # Here TensorFlow is awake, and pytest looks after the warnings.
        patch.setattr(command_line, "start", lambda *unused: None)
        write_text(folder / "words.txt")
        make_run(folder / "runs" / "words", "words.txt")
        yield folder


def outcome(capsys, *arguments):
    """The command's exit code, and what it says on either stream."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command_line.run(evaluate.main, arguments)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def figures(capsys, *arguments):
    code, out, err = outcome(capsys, "--split=test", *arguments)
    assert (code, err) == (0, "")
    return json.loads(out)


def test_every_figure_is_there(capsys, folder):
    found = figures(capsys)
    assert list(found) == [
        "dataset",
        "split",
        "history",
        "documents",
        "nats_per_token",
        "perplexity",
        "word_perplexity",
        "bits_per_token",
        "bits_per_character",
        "bits_per_byte",
        "nats_per_token_interval",
        "bits_per_byte_interval",
        "resampled",
        "tokens",
        "words",
        "characters",
        "bytes",
        "unknown_share",
        "xz_bits_per_byte",
        "kneser_ney_bits_per_byte",
    ]
    # 5% of the text is one document of less than a block.
    assert found["bits_per_byte_interval"] is None
    assert found["resampled"] == "1 block"


def test_history_is_a_choice(capsys, folder):
    bare = "--no_baselines"
    carried = figures(capsys, bare)
    none = figures(capsys, bare, "--history", "none")
    assert (none["history"], none["window"]) == ("none", 16)  # its seq_len
    sliding = figures(
        capsys, bare, "--history=sliding", "--stride=1", "--window=30"
    )
    assert (sliding["window"], sliding["stride"]) == (30, 1)
    nats = [f["nats_per_token"] for f in (carried, none, sliding)]
    assert len(set(nats)) == 3
    assert {f["tokens"] for f in (carried, none, sliding)} == {
        carried["tokens"]
    }
    # One window that holds all of the text is a carried history.
    whole = figures(capsys, bare, "--history=none", "--window=4000")
    assert whole["nats_per_token"] == pytest.approx(
        carried["nats_per_token"], rel=1e-6
    )


def test_joined_documents_have_no_end(capsys, folder):
    separate = figures(capsys)
    joined = figures(capsys, "--documents", "joined")
    assert joined["documents"] == "joined"
    assert joined["tokens"] == separate["tokens"] - 1
    assert joined["words"] == separate["words"] - 1
    assert joined["bytes"] == separate["bytes"]
    nats = joined["nats_per_token"] * joined["tokens"]
    assert joined["word_perplexity"] == pytest.approx(
        math.exp(nats / joined["words"])
    )


def test_baselines_stand_beside_files_too(capsys, folder):
    (folder / "new.txt").write_text("the cat saw a rat.\n")
    code, out, err = outcome(capsys, "--text_file", "new.txt")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert {"xz_bits_per_byte", "kneser_ney_bits_per_byte"} < set(found)
    code, out, err = outcome(capsys, "--text_file", "new.txt", "--no-baselines")
    bare = json.loads(out)
    assert bare.items() < found.items()
    assert len(found) - len(bare) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--history=carred"], "unknown history 'carred': did you mean 'carr"),
        (["--stride=5"], "`stride` needs `history` to be sliding"),
        (["--history=none", "--window=0"], "`window` must be at least 1"),
        (["--no_baseline"], "did you mean '--no_baselines'?"),
    ],
)
def test_wrong_use_is_one_line(capsys, folder, arguments, message):
    code, out, err = outcome(capsys, *arguments)
    assert (code, out) == (2, "")
    [line] = err.splitlines()
    assert message in line


@pytest.mark.parametrize("name", ["empty.txt", "none.txt"])
def test_file_is_named_as_it_was_given(capsys, folder, name):
    (folder / "empty.txt").touch()
    code, out, err = outcome(capsys, "--text_file", name)
    assert (code, out) == (1, "")
    assert err.startswith("error: `text_file` must ")
    assert f"Received: text_file={name}. " in err


def test_columns_are_read_as_in_training(capsys, folder):
    (folder / "rows.csv").write_text("n;said\n1;the cat\n2;a rat\n")
    given = {"text_feature": "said", "delimiter": ";"}
    whole = {"validation_fraction": 0.0, "test_fraction": 0.0}
    make_run(folder / "columns", "rows.csv", **whole, **given)
    bare = ["--no_baselines", "--text_file", "rows.csv"]
    code, out, err = outcome(capsys, "columns", *bare)
    assert (code, err) == (0, "")
    assert json.loads(out)["characters"] == len("the cat" + "a rat")


def test_run_without_held_out_text_says_so(capsys, folder):
    whole = {"validation_fraction": 0.0, "test_fraction": 0.0}
    make_run(folder / "whole", "words.txt", **whole)
    code, out, err = outcome(capsys, "whole")
    assert (code, out) == (1, "")
    assert "holds no text out: score files of your own with --text_file" in err


def test_stride_beyond_the_models_window_is_one_line(capsys, folder):
    code, out, err = outcome(capsys, "--history=sliding", "--stride=17")
    assert (code, out) == (1, "")
    assert err == (
        "error: `stride` must be at most `window`, or targets are left out. "
        "Received: stride=17, window=16\n"
    )
