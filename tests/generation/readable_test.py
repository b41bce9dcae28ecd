import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm.generation import readable

PAIRS = [
    ("The cat ( black ) sat .", "The cat (black) sat."),
    ('" Go ! " he said ; " now ? "', '"Go!" he said; "now?"'),
    ("It did n't , and he 's I 'm we 'll", "It didn't, and he's I'm we'll"),
    ("It cost $ 3 @,@ 000 @.@ 50 .", "It cost $3,000.50."),
    ("a well @-@ known one @-@ off", "a well-known one-off"),
    ('he left . she , too . " so i did . "', None),
    (" = = Plot = = \n \n The plot .", "= = Plot = =\n\nThe plot."),
    ("a < b & c > d | e [ f ]", None),
    ("", ""),
    ("\n\n", "\n\n"),
]


@pytest.mark.parametrize(
    ("words", "text"), [pair for pair in PAIRS if pair[1] is not None]
)
def test_text_is_as_people_write_it(words, text):
    assert readable(words if words[:1] != "a" else "X " + words) == (
        text if words[:1] != "a" else "X " + text
    )


def test_lower_case_gets_capitals_and_no_other_text_does():
    words = 'he left . she , too . " so did i , " i said .'
    assert readable(words) == 'He left. She, too. "So did I," I said.'
    assert readable("He left . she did") == "He left. she did"
    # The prompt is no sign of what the model writes.
    assert readable("He left . she did", "He left") == "He left. She did"
    assert readable("he left . She did", "he") == "he left. She did"


def test_nothing_is_escaped_or_lost():
    text = readable("A < b & c > d | e")
    assert text == "A < b & c > d | e"


@given(st.text(st.sampled_from("aB .,!?\"'()@-\n"), max_size=40))
def test_letters_and_lines_stay(text):
    made = readable(text)
    assert made.count("\n") == text.count("\n")
    letters = [c for c in text.lower() if c.isalpha()]
    assert [c for c in made.lower() if c.isalpha()] == letters
