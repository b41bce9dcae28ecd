import csv

import pytest
import tensorflow as tf

from tests.runs import make_run
from tests.training.conftest import write_text
from tflm import compare
from tflm.command_line import main as command_line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the command runs in, with two runs."""
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        # Here TensorFlow is awake, and pytest looks after the warnings.
        patch.setattr(command_line, "start", lambda *unused: None)
        write_text(folder / "words.txt")
        (folder / "new.txt").write_text("the cat saw a rat.\n")
        make_run(folder / "runs" / "one", "words.txt")
        make_run(folder / "runs" / "two", "words.txt", seed=1)
        yield folder


def outcome(capsys, *arguments):
    """The command's exit code, and what it says on either stream."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command_line.run(compare.main, arguments)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_table_csv_and_plot_agree(capsys, folder):
    flags = ["--csv", "rows.csv", "--plot", "rows.png"]
    code, out, err = outcome(capsys, "runs/one", "runs/two", *flags)
    assert (code, err) == (0, "")
    title, _, head, _, *lines = out.splitlines()
    assert title.startswith("words.txt, test: ")
    assert head.startswith("| run | model | tokens | parameters | bits/byte |")
    with (folder / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(lines) == len(rows) == 4
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(f"| {row['name']} | {row['model']} |")
        assert f"| {float(row['bits_per_byte']):.4f} |" in line
    assert {row["name"] for row in rows} == {
        "runs/one",
        "runs/two",
        "xz",
        "Kneser-Ney 5-gram, tokens as in runs/one",
    }
    assert tf.io.decode_png((folder / "rows.png").read_bytes()).shape[1] == 900


@pytest.mark.parametrize(
    ("flags", "title"),
    [
        (["--split=validation"], "words.txt, validation: "),
        (["--text_file", "new.txt"], "new.txt: 19 bytes, "),
    ],
)
def test_text_is_a_choice(capsys, folder, flags, title):
    code, out, err = outcome(capsys, "runs/one", "--no_baselines", *flags)
    assert (code, err) == (0, "")
    assert out.startswith(title)
    assert len(out.splitlines()) == 5


def test_data_set_takes_the_place_of_the_runs_files(folder):
    parsed = compare._parser().parse(["runs/one", "--dataset=lm1b"])
    first = compare.configuration.from_flat({"train_file": "words.txt"})
    config = compare._text(parsed, first)["config"]
    assert (config.data.dataset, config.data.train_file) == ("lm1b", ())
    parsed = compare._parser().parse(["runs/one", "--data_dir=there"])
    config = compare._text(parsed, first)["config"]
    assert config.data.train_file == ("words.txt",)
    assert config.data.data_dir == "there"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "the following arguments are required: RUN"),
        (["runs/one", "--text_file", "a", "--split=test"], 2, "goes without"),
        (["runs/one", "--history=non"], 2, "did you mean 'none'?"),
        (["runs/one", "--csv=no/a"], 2, "`csv` must be a file in a folder"),
        (["runs/one", "--plot=no/a"], 2, "`plot` must be a file in a folder"),
        (["runs/none"], 1, "`run` must be the directory of a run"),
        (["runs/one", "--split=tset"], 1, "unknown split 'tset': did you"),
    ],
)
def test_wrong_use_is_one_line(capsys, folder, arguments, code, message):
    found, out, err = outcome(capsys, *arguments)
    assert (found, out) == (code, "")
    [line] = err.splitlines()
    assert message in line


def test_file_is_named_as_it_was_given(capsys, folder):
    (folder / "empty.txt").touch()
    code, out, err = outcome(capsys, "runs/one", "--text_file", "empty.txt")
    assert (code, out) == (1, "")
    assert "`text_file` must hold text. Received: text_file=empty.txt" in err


def test_columns_are_read_as_the_first_runs(capsys, folder):
    (folder / "rows.csv").write_text("n;said\n1;the cat\n2;a rat\n")
    given = {"text_feature": "said", "delimiter": ";"}
    whole = {"validation_fraction": 0.0, "test_fraction": 0.0}
    make_run(folder / "columns", "rows.csv", **whole, **given)
    bare = ["--no_baselines", "--text_file", "rows.csv"]
    with pytest.warns(UserWarning, match="may have seen what it is scored"):
        code, out, _ = outcome(capsys, "columns", *bare)
    assert code == 0
    assert out.startswith(f"rows.csv: {len('the cat' + 'a rat')} bytes, ")


def test_run_without_held_out_text_says_so(capsys, folder):
    whole = {"validation_fraction": 0.0, "test_fraction": 0.0}
    make_run(folder / "whole", "words.txt", **whole)
    code, out, err = outcome(capsys, "whole")
    assert (code, out) == (1, "")
    assert "words.txt has no held-out split: compare on files" in err
