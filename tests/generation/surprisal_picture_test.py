import html.parser
import math
import re

import pytest

from tflm.generation import (
    TokenSurprisal,
    html_picture,
    terminal_legend,
    terminal_picture,
)


def tokens_of(*costs, unknown=()):
    """Tokens from (begin, end, bits)."""
    return [
        TokenSurprisal(begin, end, bits * math.log(2), place in unknown)
        for place, (begin, end, bits) in enumerate(costs)
    ]


WORDS = tokens_of((0, 1, 0.4), (3, 7, 9), (7, 8, 3), unknown=[1])
TEXT = b"a  rose\n"


class Reader(html.parser.HTMLParser):
    """Keeps what a page shows, its titles and what it would load."""

    def __init__(self):
        super().__init__()
        self.shown, self.titles, self.loads, self.within = [], [], [], []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        if tag not in ("meta", "br"):
            self.within.append(names.get("class") or tag)
        if "title" in names:
            self.titles.append((names["class"], names["title"]))
        self.loads += [v for k, v in attributes if k in ("src", "href")]
        self.loads += [tag] * (tag in ("script", "link", "img", "iframe"))

    def handle_endtag(self, tag):
        self.within.pop()

    def handle_data(self, data):
        if "text" in self.within:
            self.shown.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.within == []
    assert reader.loads == []
    assert "url(" not in page
    assert "@import" not in page
    return reader


def test_coloured_picture_is_the_text():
    picture = terminal_picture(TEXT, WORDS, colour=True)
    # The line's end is told apart but not coloured.
    assert picture == (
        "a  \x1b[4;38;5;16;48;5;209mrose\x1b[0m\x1b[38;5;16;48;5;222m↵\x1b[0m\n"
    )
    assert re.findall(r"(\d+)\+ ", terminal_legend()) == [
        *["0", "1", "2", "4", "8", "16"]
    ]


def test_plain_picture_has_a_line_a_token():
    picture = terminal_picture(TEXT, WORDS, colour=False)
    assert [line.split() for line in picture.splitlines()] == [
        ["0.40", "'a'"],
        ["9.00", "#########", "'rose'", "(unknown)"],
        ["3.00", "###", "'↵'"],
    ]
    endless = tokens_of((0, 1, math.inf))
    assert "#" * 40 + " 'a'" in terminal_picture(b"a", endless, colour=False)


@pytest.mark.parametrize(
    ("bits", "level"),
    [(-0.1, 0), (0.99, 0), (1, 1), (3.9, 2), (4, 4), (15, 8), (math.inf, 16)],
)
def test_levels_begin_at_twice_the_bits(bits, level):
    page = html_picture("", [b"a"], [tokens_of((0, 1, bits))])
    assert read(page).titles == [(f"b{level}", f"{bits:.2f} bits")]


def test_tokens_that_share_a_character_are_one_piece():
    text = "é日x".encode()
    bits = [1.0, 2, 1, 1, 1, 5]
    single = tokens_of(*((n, n + 1, cost) for n, cost in enumerate(bits)))
    reader = read(html_picture("", [text], [single]))
    assert reader.shown == ["é", "日", "x"]
    assert [title for _, title in reader.titles] == [
        "3.00 bits",
        "3.00 bits",
        "5.00 bits",
    ]
    double = tokens_of((0, 2, 1), (0, 2, 2), (2, 5, 4), (5, 6, 1))
    picture = terminal_picture(text, double, colour=False)
    assert [line.split()[0] for line in picture.splitlines()] == [
        *["3.00", "4.00", "1.00"]
    ]


def test_nothing_in_a_text_controls_page_or_terminal():
    text = b"<script>alert('x')</script>&amp;\x1b[2J\x00\"\xff\xe2\x80\xae"
    tokens = tokens_of((0, 8, 3), (8, 33, 0), (33, len(text), 20))
    reader = read(html_picture("<b>", [text], [tokens]))
    shown = (
        "<script>alert('x')</script>&amp;\\x1b[2J\\x00\""
        "\N{REPLACEMENT CHARACTER}\\u202e"
    )
    assert "".join(reader.shown) == shown
    picture = terminal_picture(text, tokens, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", picture) == shown


def test_page_shows_every_text_with_its_total():
    page = html_picture("a & b", [TEXT, b""], [WORDS, []])
    assert "<title>a &amp; b</title>" in page
    assert "12.40 bits, 3 tokens" in page
    assert "0.00 bits, 0 tokens" in page
    assert "".join(read(page).shown) == "a  rose↵\n"
