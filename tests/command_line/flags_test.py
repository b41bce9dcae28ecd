import dataclasses
import os
import typing

import pytest

from tflm import checked, config
from tflm.command_line import flags

SETTINGS = config.settings()


@dataclasses.dataclass(frozen=True)
class Shape(checked.Checked):
    """The shape of it; more words."""

    seq_len: int = checked.setting(8, "how long, 100% of it")
    rate: float | None = checked.setting(None, "how fast")
    kind: str = checked.setting("round", "which", ("round", "square"))
    tied: bool = checked.setting(False, "whether bound")
    train_file: tuple[str, ...] = checked.setting((), "what to read")
    names: tuple[str, ...] = checked.setting((), "what to say")

    def _check_ranges(self):
        checked.require_at_least(1, self, "seq_len")


@pytest.fixture
def parser():
    parser = flags.Parser("shape", "Shapes.")
    parser.add_argument("model", nargs="?")
    parser.add_settings(Shape())
    return parser


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seq_len", "5"],
        ["--seq-len", "5"],
        ["--seq_len=5"],
        ["--seq-len=5"],
        ["--seq_len", "3", "--seq-len", "5"],
    ],
)
def test_flags_take_either_stroke(parser, arguments):
    parsed = parser.parse(arguments)
    assert flags.chosen(parsed, ["seq_len", "rate", "tied"]) == {"seq_len": 5}


def test_values_keep_their_strokes(parser):
    parsed = parser.parse(["--train-file=a-b.txt", "--kind", "a-b", "my-run"])
    assert parsed.train_file == ["a-b.txt"]
    assert (parsed.kind, parsed.model) == ("a-b", "my-run")


def test_types_are_those_of_the_fields(parser):
    parsed = parser.parse(
        ["--rate=2", "--tied", "--train-file", "a", "b", "--kind", "square"]
        + ["--seq-len", "9"]
    )
    made = parser.settings_of(Shape, parsed)
    assert made == Shape(9, 2.0, "square", True, ("a", "b"))
    assert isinstance(made.rate, float)


def test_a_switch_can_be_turned_back(parser):
    assert parser.parse(["--tied", "--no-tied"]).tied is False
    assert parser.parse(["--no_tied", "--tied"]).tied is True


def test_negative_numbers_are_values(parser):
    assert parser.parse(["--seq_len", "-1"]).seq_len == -1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sequ_len", "5"], "unknown flag '--sequ_len': did you mean '--seq"),
        (["--rat-e=5"], "unknown flag '--rat_e': did you mean '--rate'"),
        (["--seq", "5"], "unknown flag '--seq'"),  # no abbreviations
        (["-x"], "unknown flag '-x'"),
        (["a", "b"], "unexpected argument 'b'"),
        (["--seq_len", "five"], "--seq_len: invalid int value: 'five'"),
        (["--seq_len", "5.5"], "--seq_len: invalid int value: '5.5'"),
        (["--rate", "fast"], "--rate: invalid float value: 'fast'"),
        (["--seq_len"], "--seq_len: expected one argument"),
        (["--names"], "--names: expected at least one argument: a value that"),
        (["--names", "-a"], "that begins with - is given as --names=-... (see"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    capsys, parser, arguments, message
):
    with pytest.raises(SystemExit) as ended:
        parser.parse(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("tflm shape: ")
    assert message in line
    assert line.endswith("(see --help)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seq_len", "0"], "`seq_len` must be at least 1. Received: seq_len"),
        (["--kind", "sqare"], "unknown kind 'sqare': did you mean 'square'?"),
    ],
)
def test_a_value_out_of_range_is_a_mistake_too(
    capsys, parser, arguments, message
):
    with pytest.raises(SystemExit) as ended:
        parser.settings_of(Shape, parser.parse(arguments))
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_help_says_meaning_default_and_choices(capsys, parser):
    with pytest.raises(SystemExit) as ended:
        parser.parse(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "how long, 100% of it (default: 8)" in said
    assert "--rate FLOAT how fast --kind" in said
    assert "--kind round|square" in said
    assert "--tied whether bound" in said
    assert "--train_file FILE [FILE ...] what to read" in said
    assert "--names TEXT [TEXT ...] what to say" in said
    assert "no_tied" not in said


def refused(capsys, check, *values):
    """The line in which a value is refused; None where it is taken."""
    try:
        check(*values)
    except SystemExit as ended:
        assert ended.code == 2
        [line] = capsys.readouterr().err.splitlines()
        return line
    return None


def test_file_needs_a_folder_that_exists(capsys, parser, tmp_path):
    fits, is_folder, in_none = (
        refused(capsys, parser.check_file, "html", str(tmp_path / name))
        for name in ("a", "", "no/a")
    )
    assert fits is refused(capsys, parser.check_file, "html", None) is None
    for line in (is_folder, in_none):
        assert "`html` must be a file in a folder that exists" in line


def test_folder_can_be_made_where_none_is(capsys, parser, tmp_path):
    (tmp_path / "file").touch()
    fits, there, is_file, in_file = (
        refused(capsys, parser.check_folder, "export_dir", str(tmp_path / name))
        for name in ("a/b", "", "file", "file/a")
    )
    assert fits is there is None
    for line in (is_file, in_file):
        assert "`export_dir` must be a folder that can be written to" in line


def test_folder_must_be_ones_own(capsys, parser, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    line = refused(capsys, parser.check_folder, "export_dir", str(tmp_path))
    assert "that can be written to" in line


@pytest.mark.parametrize(
    "name", ["config.json", "saved_model.pb", "1/saved_model.pb"]
)
def test_model_that_a_flag_has_taken_is_told(
    capsys, parser, tmp_path, monkeypatch, name
):
    model = tmp_path / "model"
    (model / name).parent.mkdir(parents=True)
    (model / name).touch()
    check = parser.check_model
    line = refused(capsys, check, None, "prompt", ["Once", str(model)])
    assert f"first, as in tflm shape {model} --prompt ..." in line
    (tmp_path / "folder").mkdir()
    folder = str(tmp_path / "folder")
    long = "a" * 10_000
    for taken in (["Once"], [folder], [str(model), "Once"], [], [long]):
        assert refused(capsys, check, None, "prompt", taken) is None
    monkeypatch.chdir(model)
    assert refused(capsys, check, None, "prompt", [""]) is None
    given = refused(capsys, check, "runs/a", "prompt", [str(model)])
    assert given is None


def test_only_the_named_fields_get_flags():
    parser = flags.Parser("shape", "Shapes.")
    parser.add_settings(Shape(), "some of it", ["rate"])
    assert parser.parse(["--rate", "1"]).rate == 1.0
    with pytest.raises(SystemExit):
        parser.parse(["--seq_len", "1"])


def another(name):
    """Flags that set a setting to another value, and that value."""
    entry, hint = SETTINGS[name]
    default = getattr_of(config.Config(), name)
    if entry.metadata["choices"]:
        value = next(c for c in entry.metadata["choices"] if c != default)
        return [f"--{name}", value], value
    kinds = typing.get_args(hint) or (hint,)
    if bool in kinds:
        return [f"--{name}"], True
    if typing.get_origin(hint) is tuple:
        return [f"--{name}", "a.txt", "b.txt"], ("a.txt", "b.txt")
    if int in kinds:
        return [f"--{name}", "17"], 17
    if float in kinds:
        return [f"--{name}", "0.375"], 0.375
    return [f"--{name}", "#"], "#"


def getattr_of(whole, name):
    [group] = [g for g in vars(whole).values() if hasattr(g, name)]
    return getattr(group, name)


@pytest.mark.parametrize(
    "name",
    # The others need another setting beside them.
    [
        name
        for name, (entry, _) in SETTINGS.items()
        if len(entry.metadata["choices"]) != 1
        and name not in ("span", "splitter", "freeze_embeddings")
    ],
)
def test_every_setting_has_a_flag_that_counts(name):
    arguments, value = another(name)
    parser = flags.Parser("train", "Trains.")
    for group in vars(config.Config()).values():
        parser.add_settings(group)
    chosen = flags.chosen(parser.parse(arguments), list(SETTINGS))
    assert getattr_of(config.Config(), name) != value
    made = config.from_flat(chosen)
    assert getattr_of(made, name) == value
    others = [other for other in SETTINGS if other != name]
    for other in others:
        assert getattr_of(made, other) == getattr_of(config.Config(), other)


def test_settings_file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "# a recipe\nunits: 64\nlearning_rate: 0.5\n"
        "train_file: [a.txt, b.txt]\ntie_embeddings: true\nmax_steps: null\n"
    )
    assert flags.read_settings(str(path)) == {
        "units": 64,
        "learning_rate": 0.5,
        "train_file": ["a.txt", "b.txt"],
        "tie_embeddings": True,
        "max_steps": None,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- units", "must hold lines like `units: 512`.*with list"),
        ("", "must hold lines like `units: 512`.*with NoneType"),
        ("units: [1", "must be a YAML file. Received: config=.*settings.yaml:"),
    ],
)
def test_settings_file_that_is_none(tmp_path, content, message):
    path = tmp_path / "settings.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        flags.read_settings(str(path))
    assert "\n" not in str(raised.value)


def test_settings_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "settings.yaml"
    with pytest.raises(OSError, match="`config` must be a file .*No such file"):
        flags.read_settings(str(path))
    path.write_bytes(b"units: \xff")
    with pytest.raises(ValueError, match="`config` must be a YAML file"):
        flags.read_settings(str(path))
