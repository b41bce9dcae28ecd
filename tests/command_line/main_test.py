import json
import subprocess
import sys
import types
import warnings

import pytest

from tflm import __version__, train
from tflm.command_line import main, noise, process

EXTRAS = [
    "tensorflow_probability",
    "tensorflow_datasets",
    "keras_nlp",
    "tensorflow_text",
]

IMPORTS = """
import contextlib, io, json, sys

steps = {}
import tflm
steps["tflm"] = sorted(sys.modules)
from tflm import compare, evaluate, export, generate, inspect, score, train
for command in (train, inspect, evaluate, generate, export, score, compare):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            command.main(["--help"])
        except SystemExit as ended:
            assert ended.code == 0
    assert "usage: tflm" in said.getvalue()
steps["help"] = sorted(sys.modules)
print(json.dumps(steps))
"""


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    """How often the process was made ready, which is not this one."""
    calls = []
    monkeypatch.setattr(process, "prepare", lambda: calls.append(1))
    return calls


def test_imports_and_help_load_no_tensorflow():
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    steps = json.loads(ended.stdout)
    assert "tflm.train" in steps["help"]
    for modules in steps.values():
        assert not {*EXTRAS, "tensorflow", "keras", "numpy"} & set(modules)


def exit_code(command, arguments=()):
    with pytest.raises(SystemExit) as ended:
        main.run(command, list(arguments))
    return ended.value.code


def test_exit_codes(capsys):
    def failing(error):
        def command(arguments):
            raise error

        return command

    assert exit_code(lambda arguments: None) == 0
    assert exit_code(lambda arguments: 0) == 0
    assert exit_code(lambda arguments: 130) == 130
    assert capsys.readouterr().err == ""
    assert exit_code(failing(ValueError("`a` must\n  be b"))) == 1
    assert capsys.readouterr().err == "error: `a` must be b\n"
    assert exit_code(failing(KeyError("a"))) == 1
    assert capsys.readouterr().err == "error: KeyError: 'a'\n"
    assert exit_code(failing(FloatingPointError("the loss is nan"))) == 1
    assert capsys.readouterr().err == "error: the loss is nan\n"
    assert exit_code(failing(ValueError())) == 1
    assert capsys.readouterr().err == "error: ValueError\n"
    assert exit_code(failing(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert exit_code(failing(SystemExit(2))) == 2


def test_traceback_is_shown_to_those_who_ask(capsys):
    def command(arguments):
        raise ValueError("wrong")

    assert exit_code(command, ["--verbose"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == ["ValueError: wrong", "error: wrong"]


def test_reader_that_goes_away_is_no_traceback(monkeypatch):
    closed = []
    stderr = types.SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr(sys, "stderr", stderr)

    def command(arguments):
        raise BrokenPipeError

    assert exit_code(command) == 1
    assert closed


def test_arguments_are_by_default_those_of_the_process(monkeypatch, prepared):
    monkeypatch.setattr(sys, "argv", ["tflm", "a", "b"])
    seen = []
    with pytest.raises(SystemExit):
        main.run(seen.append)
    assert seen == [["a", "b"]]
    assert prepared  # and it is the process's command


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's, which needs a node to be made."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            Exception(
                "assertion failed: [a must be b. Received: a=] [2] [c d]\n"
                "\t [[{{node Assert}}]] [Op:__inference_f]"
            ),
            "a must be b. Received: a=2 c d",
        ),
        (
            ResourceExhaustedError(
                "OOM when allocating tensor [[{{node mul}}]] [Op:f]"
            ),
            "there is not enough memory: OOM when allocating tensor. A smaller "
            "--batch_size, --seq_len, --units or --num_layers needs less",
        ),
        (OSError("a\n b"), "a b"),
        (RuntimeError("a [[{{node b}}]]"), "RuntimeError: a"),
    ],
    ids=["assertion", "memory", "system", "other"],
)
def test_errors_of_graphs_say_what_was_wrong_not_where(capsys, error, line):
    def command(arguments):
        raise error

    assert exit_code(command) == 1
    assert capsys.readouterr().err == f"error: {line}\n"


def console(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["tflm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code, capsys.readouterr()


def test_console_script_lists_its_commands(monkeypatch, capsys):
    for arguments, expected in (((), 2), (("--help",), 0), (("-h",), 0)):
        code, said = console(monkeypatch, capsys, *arguments)
        assert code == expected
        for name in ("train", "evaluate", "generate", "export"):
            assert f"\n  {name} " in said.out


def test_console_script_says_its_version(monkeypatch, capsys):
    code, said = console(monkeypatch, capsys, "--version")
    assert (code, said.out) == (0, f"{__version__}\n")


def test_console_script_names_the_closest_command(monkeypatch, capsys):
    code, said = console(monkeypatch, capsys, "trian", "--units", "5")
    assert code == 2
    assert said.err.startswith(
        "tflm: unknown command 'trian': did you mean 'train'?"
    )


def test_console_script_hands_the_arguments_on(monkeypatch, capsys, prepared):
    seen = []
    monkeypatch.setattr(train, "main", seen.append)
    assert console(monkeypatch, capsys, "train", "--units", "5")[0] == 0
    assert seen == [["--units", "5"]]
    assert prepared


def test_own_warnings_are_one_line_and_others_silent(capsys):
    with warnings.catch_warnings():
        noise.show_own_warnings()
        for module in ("tflm.training.loop", "keras.src.ops"):
            warnings.warn_explicit(
                f"of {module}", UserWarning, "a.py", 1, module
            )
        warnings.warn_explicit("old", DeprecationWarning, "a.py", 1, "tflm")
    assert capsys.readouterr().err == "warning: of tflm.training.loop\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            "ImportError('no tensorflow')",
            1,
            "library missing\nerror: ImportError: no tensorflow\n",
        ),
        # Nothing is wrong: what it said before is noise.
        ("KeyboardInterrupt", 130, "\ninterrupted\n"),
    ],
)
def test_failed_import_of_tensorflow_shows_what_it_said(error, code, said):
    lines = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'tensorflow':\n"
        "            os.write(2, b'library missing\\n')\n"
        f"            raise {error}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from tflm.command_line import main\n"
        "main.run(lambda arguments: main.start())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (code, said)
