"""Where a file of WikiText is divided."""

import itertools
import random

import pytest

from tflm.datasets.wikitext.articles import articles


def divided(text):
    found = list(articles(text.splitlines(keepends=True)))
    position = 0
    for article in found:
        assert article.offset == position
        position += len(article.text)
    return [(article.title, article.text) for article in found]


def test_file_is_divided_before_the_headings_of_articles(files, titles):
    for split, text in files.items():
        found = list(articles(text.split(b"\n")[:-1]))  # without newlines
        assert [article.title.decode() for article in found] == titles[split]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b" \n", [(b"", b" \n")]),
        (b" = A = ", [(b"A", b" = A = ")]),
        (b" = A = \r\n", [(b"A", b" = A = \r\n")]),
        (b"\n\n = A = \nx\n", [(b"A", b"\n\n = A = \nx\n")]),
        (
            b"x\n\n = A = \n",
            [(b"", b"x\n\n"), (b"A", b" = A = \n")],
        ),
        (
            b" = A = \n \n = B = \n",
            [(b"A", b" = A = \n \n"), (b"B", b" = B = \n")],
        ),
        (b" = A = \n = B = \n", [(b"A", b" = A = \n = B = \n")]),
        (b" = A = B = \n", [(b"A = B", b" = A = B = \n")]),
        (b" = \xff = \n", [(b"\xff", b" = \xff = \n")]),
    ],
)
def test_articles(text, expected):
    assert divided(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        b" = = A = = \n",
        b" = = = A = = = \n",
        b" = = A = \n",
        b" = A = = \n",
        b" = = \n",
        b" = = = \n",
        b" = \n",
        b" = A \n",
        b"= A =\n",
        b" A = \n",
        b" = A =b \n",
    ],
)
def test_other_lines_open_no_article(line):
    assert divided(b" = X = \n \n" + line) == [(b"X", b" = X = \n \n" + line)]


def test_joined_texts_are_the_file():
    choose = random.Random(0)
    lines = [b" = A = \n", b" = = A = = \n", b" \n", b"\n", b" x \n", b"\xff\n"]
    for _ in range(300):
        text = b"".join(choose.choices(lines, k=choose.randrange(12)))
        assert b"".join(found for _, found in divided(text)) == text


def test_articles_are_streamed():
    endless = itertools.cycle([b" = A = \n", b" x \n", b" \n"])
    first = list(itertools.islice(articles(endless), 2))
    assert [article.text for article in first] == [b" = A = \n x \n \n"] * 2
