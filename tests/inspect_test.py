"""The command, on a text whose figures can be told by hand."""

import json

import pytest

from tflm import inspect
from tflm.command_line import main as command_line


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "start", lambda *unused: None)
    (tmp_path / "train.csv").write_text("text\nab ab\nb\nab ab\n")
    (tmp_path / "held.csv").write_text("text\nab xx\n")
    (tmp_path / "empty.txt").write_text("")
    return tmp_path


FILES = (
    "--train_file train.csv --validation_file held.csv --test_fraction 0 "
    "--cache_dir cache --sequences documents --seq_len 8 --batch_size 2"
)


def test_json_has_the_figures(capsys):
    inspect.main([*FILES.split(), "--json", "--most", "2"])
    found = json.loads(capsys.readouterr().out)
    train = found["splits"]["train"]
    assert train["documents"] == 3
    assert train["characters"] == train["bytes"] == train["tokens"] == 11
    assert train["duplicate_documents"] == 1
    assert train["histogram"] == [[2, 3, 1], [4, 7, 2]]
    assert found["splits"]["validation"]["unknown_share"] == 2 / 5
    assert found["frequent_tokens"] == [
        {"id": 4, "text": "b", "count": 5},
        {"id": 5, "text": "a", "count": 4},
    ]
    assert found["held_out"]["validation"]["documents_in_train"] == 0
    weights = found["sequences"]["batch"]["weights"]
    assert found["sequences"]["kind"] == "documents"
    assert len(weights) <= 3
    assert found["byte_pair_merges"] == []


def test_page_says_it_in_words(capsys, folder):
    picture = ["--picture", "lengths.png"]
    inspect.main([*FILES.split(), "--bpe_example", *picture])
    page = capsys.readouterr().out
    for line in (
        "train.csv, characters, a vocabulary of 7",
        "documents                            3               1",
        "unknown share                   0.000%         40.000%",
        "              2 to 3  " + "█" * 20 + " 1",
        "       4  b                                5   45.45%",
        "  train: 1 of 3 documents come twice",
        "  validation: 0 documents and 0 of 0 paragraphs stand in train too",
        "  1. e + r        9   l o w _, l o w e s t _, n e w er _,",
    ):
        assert line in page, line
    assert max(map(len, page.splitlines())) <= 80
    assert (folder / "lengths.png").read_bytes().startswith(b"\x89PNG")


def ended_with(arguments):
    with pytest.raises(SystemExit) as ended:
        inspect.main(arguments)
    return ended.value.code


def test_mistakes_are_told(capsys):
    assert ended_with(["--most", "-1"]) == 2
    assert "`most` must be at least 0" in capsys.readouterr().err
    assert ended_with(["--picture", "no/a.png"]) == 2
    assert "`picture` must be a file in a folder" in capsys.readouterr().err
    assert ended_with(["runs/a", "--tokenizer", "bpe"]) == 2
    assert "`tokenizer` is the run's: leave it" in capsys.readouterr().err
    assert ended_with(["--tokeniser", "bpe"]) == 2
    assert "did you mean '--tokenizer'" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"empty\.txt"):
        inspect.main(["--train_file", "empty.txt"])
    with pytest.raises(FileNotFoundError, match="directory of a run"):
        inspect.main(["nowhere"])
