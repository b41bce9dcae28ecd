import pytest

from tflm.command_line.dialogue import HELP, Dialogue
from tflm.generation import Draft


def said(lines, write=lambda text: text + b".", start=b"Once"):
    """What is shown for lines typed at a terminal, one list a line."""
    shown, turns = [], []
    draft = Draft(write, lambda text, k: CHOICES[:k], start)
    dialogue = Dialogue(draft, shown.append)
    typed = iter(lines)

    def read():
        turns.append(len(shown))
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    dialogue.run(read)
    bounds = zip(turns, [*turns[1:], len(shown)], strict=True)
    answers = [shown[a:b] for a, b in bounds]
    return answers[: len(lines)], draft.text.decode("utf-8", "replace")


CHOICES = [(b" upon", 0.5), (b"\xc3", 0.25), (b"", 0.125)]


def test_lines_are_added_and_the_model_goes_on():
    answers, text = said([" upon", "", "\\na"])
    assert answers == [["Once upon."], ["Once upon.."], ["Once upon..\na."]]
    assert text == "Once upon..\na."


def test_undo_takes_back_one_change_after_the_other():
    answers, text = said([" upon", "/undo", "/undo", "/undo"])
    assert answers[1:3] == [["Once upon"], ["Once"]]
    assert answers[3] == ["(there is nothing to undo)"]
    assert text == "Once"


def test_choices_are_numbered_and_taken_by_number():
    answers, text = said(["/choices", "/take 1", "/choices 2", "/take 3"])
    assert answers[0] == [
        "   1  50.00%  ' upon'",
        "   2  25.00%  '\N{REPLACEMENT CHARACTER}'",
        "   3  12.50%  (end)",
    ]
    assert answers[1] == ["Once upon"]
    assert len(answers[2]) == 2
    assert answers[3] == [
        "(/take wants the number of a choice, not '3': /choices lists them)"
    ]
    assert text == "Once upon"


@pytest.mark.parametrize("value", ["", "x", "0", "-1", "1.5"])
def test_what_is_no_number_of_a_choice_changes_nothing(value):
    answers, text = said([f"/take {value}"])
    assert "wants the number of a choice" in answers[0][0]
    assert text == "Once"


@pytest.mark.parametrize("value", ["x", "0", "-1"])
def test_choices_want_a_number(value):
    answers, _ = said([f"/choices {value}"])
    assert answers == [[f"(/choices wants a number from 1 on, not {value!r})"]]


def test_text_that_has_ended_says_so():
    answers, _ = said([""], write=lambda text: text)
    assert answers == [["Once", "(the text ends here)"]]


def test_quit_ends_and_anything_else_helps():
    answers, _ = said(["/helpme", "/quit", "never read"])
    assert answers[0] == [HELP]
    assert answers[2:] == []
    assert all(name in HELP for name in ("/choices", "/take", "/undo"))
