"""Documents, and the pieces in which they are handed on."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from tflm.datasets.files import TextFile
from tflm.datasets.held_out import HeldOut

# The most bytes of UTF-8 in a piece.
PIECE_BYTES = 2**20


class Piece(NamedTuple):
    """A run of a document's text."""

    text: bytes
    starts: bool
    ends: bool


class Document(Protocol):
    """A text that a model reads from start to end."""

    @property
    def length(self) -> int:
        """The document's characters."""

    def part(self, split: str, held_out: HeldOut) -> Iterator[Piece]:
        """The pieces of it that belong to a split, perhaps none."""


# Every call reads the documents of one source from the start.
Source = Callable[[], Iterator[Document]]


@dataclasses.dataclass(frozen=True)
class Row:
    """A document that is held in memory and goes to one split as a whole.

    Args:
        text: The document.
        starts: Whether it is the first of its document. Default True.
        ends: Whether its document really ends with it. Default True.
    """

    text: str
    starts: bool = True
    ends: bool = True

    @property
    def length(self) -> int:
        """The document's characters."""
        return len(self.text)

    def shortened(self, most: int | None) -> "Row":
        """The row cut to a number of characters.

        Args:
            most: The characters to keep; None keeps all.
        """
        if most is None or len(self.text) <= most:
            return self
        return dataclasses.replace(self, text=self.text[:most], ends=False)

    def part(self, split: str, held_out: HeldOut) -> Iterator[Piece]:
        """All of its pieces if the split is its own, else none."""
        if held_out.split_of(self.text) == split:
            yield from cut([self.text], self.starts, self.ends)


@dataclasses.dataclass(frozen=True)
class PlainText:
    """A file that is one document, streamed; its end is what is held out.

    Args:
        file: The file.
        most: The characters to keep; None keeps all.
    """

    file: TextFile
    most: int | None = None

    @property
    def length(self) -> int:
        """The document's characters."""
        return self._extent[0]

    def part(self, split: str, held_out: HeldOut) -> Iterator[Piece]:
        """The pieces of the split's part of the text."""
        length, ends = self._extent
        first, last = held_out.bounds(length)[split]
        if first < last:
            chunks = _between(self.file.chunks(), first, last)
            yield from cut(chunks, True, ends and last == length)

    @functools.cached_property
    def _extent(self) -> tuple[int, bool]:
        """The characters kept, and whether they are all there are."""
        length = 0
        for chunk in self.file.chunks():
            length += len(chunk)
            if self.most is not None and length > self.most:
                return self.most, False
        return length, True


def cut(chunks: Iterable[str], starts: bool, ends: bool) -> Iterator[Piece]:
    """Cuts a text into pieces that joined give the text again.

    Args:
        chunks: The text, in strings of any length.
        starts: Of the first piece.
        ends: Of the last piece.

    Returns:
        An iterator over one or more pieces of at most `PIECE_BYTES`, cut
        after a newline if one is in reach, else after white space, else
        between two characters.

    Example:
    >>> list(cut(["To be, ", "or not to be"], True, False))
    [Piece(text=b'To be, or not to be', starts=True, ends=False)]
    """
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk.encode()
        while len(waiting) > PIECE_BYTES:
            size = _piece_size(waiting)
            yield Piece(bytes(waiting[:size]), starts, False)
            del waiting[:size]
            starts = False
    yield Piece(bytes(waiting), starts, ends)


def _piece_size(text: bytearray) -> int:
    for white_space in (b"\n", b" \t\r\v\f"):
        last = max(text.rfind(byte, 0, PIECE_BYTES) for byte in white_space)
        if last >= 0:
            return last + 1
    size = PIECE_BYTES
    while text[size] & 0xC0 == 0x80:  # inside of a UTF-8 character
        size -= 1
    return size


def _between(chunks: Iterable[str], first: int, last: int) -> Iterator[str]:
    """The characters from `first` up to `last`, which is not included."""
    position = 0
    for chunk in chunks:
        yield chunk[max(first - position, 0) : max(last - position, 0)]
        position += len(chunk)
        if position >= last:
            return
