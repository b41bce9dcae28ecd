"""The articles of a WikiText file."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A section's heading has more signs: " = = Section = = ".
_HEADING = re.compile(rb" = ([^=\s](?:.*[^=\s])?) =\s*")


class Article(NamedTuple):
    """A part of a file.

    Attributes:
        title: What its heading says, empty where it has none.
        text: Its lines as they stand, the heading included.
        offset: The bytes that stand before it in the file.
    """

    title: bytes
    text: bytes
    offset: int


def articles(lines: Iterable[bytes]) -> Iterator[Article]:
    r"""Divides a file where an article begins.

    A line ` = Title = ` after a blank line, or at the start, opens an
    article. (Formulas have such lines too, but within a paragraph.) Text
    before the first heading is an article without a title; blank lines there
    belong to the first article.

    Args:
        lines: The file's lines, each with its newline.

    Returns:
        An iterator over the articles, whose texts joined are the file. One
        article is held in memory at a time.

    Example:
    >>> file = b" = One = \n \n = = Part = = \n \n = Two = \n"
    >>> [article.title for article in articles(file.splitlines(True))]
    [b'One', b'Two']
    """
    title = b""
    text = bytearray()
    offset = 0
    has_words = False
    after_blank = True
    for line in lines:
        heading = _HEADING.fullmatch(line) if after_blank else None
        if heading:
            if has_words:
                yield Article(title, bytes(text), offset)
                offset += len(text)
                text.clear()
            title = heading[1]
        after_blank = not line.strip()
        has_words = has_words or not after_blank
        text += line
    if text:
        yield Article(title, bytes(text), offset)
