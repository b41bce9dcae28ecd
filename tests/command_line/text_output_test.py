import json

from tflm.command_line import text_output
from tflm.generation import Choice

STEPS = [
    [
        Choice(b" a", is_end=False, raw=0.5, filtered=0.75, drawn=False),
        Choice(b"\xc3", is_end=False, raw=0.25, filtered=0.25, drawn=True),
    ],
    [Choice(b"", is_end=True, raw=1e-9, filtered=1.0, drawn=True)],
]
ROW = {"prompt": "Once", "text": "Once\ufffd", "steps": STEPS}


def test_text_stands_behind_the_tables_of_its_steps(capsys):
    text_output.print_text(ROW, first=True)
    text_output.print_text({"text": "b"}, first=False)
    assert capsys.readouterr().out.splitlines() == [
        "   1     raw  filtered",
        "      0.5000    0.7500  ' a'",
        "  ->  0.2500    0.2500  '\ufffd'",
        "   2     raw  filtered",
        "  ->  0.0000    1.0000  (end)",
        "Once\ufffd",
        "-" * 40,
        "b",
    ]


def test_json_has_all_of_it(capsys):
    text_output.print_json(ROW, ["x", "y", "x"])
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("steps")[0][1] == {
        "text": "\ufffd",
        "is_end": False,
        "raw": 0.25,
        "filtered": 0.25,
        "drawn": True,
    }
    unknown = {"x": 2, "y": 1}
    assert shown == {"prompt": "Once", "text": "Once\ufffd", "unknown": unknown}


def test_unknown_pieces_are_named_and_counted(capsys):
    text_output.report_unknown([["x"], [], ["y", "x"]], "drop")
    assert capsys.readouterr().err == (
        "unknown pieces in the prompts: 3, 'x' (2 times), 'y' (on_oov: drop)\n"
    )
    text_output.report_unknown([[], []], "drop")
    assert capsys.readouterr() == ("", "")
    many = [[f"w{number}" for number in range(13)]]
    text_output.report_unknown(many, "unk")
    said = capsys.readouterr().err
    assert said.startswith("unknown pieces in the prompts: 13, 'w0', ")
    assert said.endswith("'w9' and 3 more (on_oov: unk)\n")
