import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm.datasets.sentences import sentences

# Sentences as a reader would tell them, joined by "|".
HARD = [
    "He left.| She stayed!| Why?| Nobody knew…",
    "Mr. Pym met Dr. J. Doe at 3 p.m. on the U.S. coast.| It rained.",
    "It cost 3.50, not 3.75.| Then it was free.",
    '"Go!" he said.| "Now?"| "Yes."',
    "\u201cGo.\u201d| \u201cNo.\u201d",
    "See fig. 3 (p. 12).| Then stop.",
    "Wait... what?| Nothing...| Really.",
    "One paragraph\n\n|and another without a stop",
    "你好。|再见！|“走吧。”|好",
    "A word , a stop . | Wiki text , too . ",
    "I am, said I.| So am I.| Good.",
    "no stop at all",
    "",
]


@pytest.mark.parametrize("marked", HARD)
def test_sentences_end_where_a_reader_ends_them(marked):
    text = marked.replace("|", "")
    cut = [s.strip() for s in sentences(text)]
    assert cut == [s.strip() for s in marked.split("|")]


@given(st.text(st.sampled_from("aB .!?。\n\"')3…"), max_size=40))
def test_joined_they_are_the_text(text):
    cut = sentences(text)
    assert "".join(cut) == text
    assert all(cut[:-1])
