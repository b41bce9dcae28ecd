"""Documents divided into smaller ones: paragraphs, lines or sentences."""

import re
from collections.abc import Callable, Iterator

import tensorflow as tf

from tflm.datasets.documents import PIECE_BYTES, Piece, cut
from tflm.datasets.piece_dataset import dataset_of, pieces_of
from tflm.datasets.sentences import sentences

# A blank line, and all further ones.
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")


def divided(pieces: tf.data.Dataset, unit: str) -> tf.data.Dataset:
    r"""Makes each paragraph, line or sentence of a text a document.

    A paragraph ends at a blank line, a sentence where `sentences` ends one.
    Units that are nothing but white space are left out, and so is the white
    space at the ends of the others; of it there is no token.

    Args:
        pieces: `tf.data.Dataset` of a split, see `TextSplits`.
        unit: "document" (as they are), "paragraph", "line" or "sentence".

    Returns:
        A data set of the same form. A unit that a split cut off has no end.

    Example:
    >>> text = {"text": ["one\ntwo"], "starts": [True], "ends": [False]}
    >>> lines = divided(tf.data.Dataset.from_tensor_slices(text), "line")
    >>> [(piece.text, piece.ends) for piece in pieces_of(lines)]
    [(b'one', True), (b'two', False)]
    """
    if unit == "document":
        return pieces
    division = _DIVISIONS[unit]

    return dataset_of(lambda: _divide(pieces_of(pieces), division))


def _divide(
    pieces: Iterator[Piece], division: Callable[[str], list[str]]
) -> Iterator[Piece]:
    waiting, is_first = "", True  # of the unit that has not ended yet
    for piece, last in _with_last(pieces):
        waiting += piece.text.decode("utf-8", "replace")
        *whole, waiting = division(waiting)
        for unit in whole:
            yield from _unit(unit, is_first, True)
            is_first = True
        if last:
            yield from _unit(waiting, is_first, piece.ends)
            waiting, is_first = "", True
        elif len(waiting) > PIECE_BYTES:  # it has no end in sight
            yield from _unit(waiting, is_first, False)
            is_first &= not waiting.strip()  # of white space nothing is there
            waiting = ""


def _with_last(pieces: Iterator[Piece]) -> Iterator[tuple[Piece, bool]]:
    """Each piece, and whether it is the last one of its document."""
    waiting = next(pieces, None)
    while waiting is not None:
        following = next(pieces, None)
        yield waiting, following is None or following.starts
        waiting = following


def _unit(text: str, starts: bool, ends: bool) -> Iterator[Piece]:
    text = text.lstrip() if starts else text
    text = text.rstrip() if ends else text
    # What began in an earlier piece still has to be ended.
    if text or (ends and not starts):
        yield from cut([text], starts, ends)


_DIVISIONS: dict[str, Callable[[str], list[str]]] = {
    "paragraph": _BLANK_LINES.split,
    "line": lambda text: text.split("\n"),
    "sentence": sentences,
}
