"""Tokens as a terminal can show them. Axes: B batch, T time."""

import unicodedata

import numpy as np
import tensorflow as tf

from tflm.pipelines import Examples
from tflm.tokenizers import Tokenizer

_NAMES = ("⟨pad⟩", "⟨unk⟩", "⟨start⟩", "⟨end⟩")
_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥"}
# Control, format, private and unassigned characters, and marks that would
# sit on what stands before them.
_HIDDEN = ("C", "M", "Z")


class TokenView:
    r"""Shows what ids stand for.

    Args:
        tokenizer: The `Tokenizer` of the ids.

    Example:
    >>> from tflm.tokenizers import Characters
    >>> TokenView(Characters("a \x07")).tokens([2, 4, 5, 6])
    ['⟨start⟩', 'a', '␣', '\\x07']
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def tokens(self, ids: np.ndarray | list[int]) -> list[str]:
        """The text of each id, with signs for what cannot be seen."""
        if not len(ids):
            return []
        pieces = tf.constant(ids, tf.int32)[:, tf.newaxis]
        texts = self.tokenizer.detokenize(pieces).numpy()
        return [
            _NAMES[id_] if id_ < len(_NAMES) else visible(text)
            for id_, text in zip(ids, texts, strict=True)
        ]

    def rows(self, batch: Examples, most: int, width: int) -> list[list[str]]:
        """Rows of a batch as lines: inputs, targets and weights, in columns.

        Args:
            batch: inputs, targets and weights, [B,T].
            most: int. Rows to show.
            width: int. Columns of the terminal.

        Returns:
            For each row its three lines.
        """
        shown = []
        for parts in list(zip(*batch[:3], strict=True))[:most]:
            inputs, targets, weights = parts
            cells = [
                self.tokens(inputs[:width].tolist()),
                self.tokens(targets[:width].tolist()),
                [f"{weight:g}" for weight in weights[:width]],
            ]
            lines = [f"{name:<8}" for name in ("input", "target", "weight")]
            for column in zip(*cells, strict=True):
                size = max(map(columns, column)) + 1
                if columns(lines[0]) + size > width:
                    break
                for index, cell in enumerate(column):
                    lines[index] += cell + " " * (size - columns(cell))
            shown.append([line.rstrip() for line in lines])
        return shown


def visible(text: bytes) -> str:
    r"""A text in which every character can be seen, escaped if need be.

    >>> visible("é \u0301\x1b".encode() + b"\xff")
    'é␣\\u0301\\x1b\\xff'
    """
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(_sign(character) for character in decoded)


def columns(text: str) -> int:
    """The columns that a visible text takes in a terminal.

    >>> columns("日本 ab")
    7
    """
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _sign(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if unicodedata.category(character)[0] in _HIDDEN:
        return character.encode("unicode_escape").decode()
    return character
