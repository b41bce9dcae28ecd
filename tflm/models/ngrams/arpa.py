r"""ARPA files: n-grams with probabilities as text, as other programs have them.

    \data\
    ngram 1=3
    ...
    \1-grams:
    -0.5	word	-0.2
    ...
    \end\

Each line holds the logarithm to base 10 of a probability, the words and, below
the highest order, the logarithm of the back-off weight, which may be left out
where it is 0. A logarithm of -99 or less stands for that of 0. What the words
are, `words` says.

An id whose word a file does not have gets probability 0, and so has START,
whatever the file says of it: some programs write 1 there, others 0.
"""

import math
import os
import re
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import numpy as np

from tflm import writing
from tflm.models.ngrams.tables import ABSENT, Table
from tflm.models.ngrams.words import words
from tflm.tokenizers import Tokenizer

_TEN = math.log(10)
_ZERO = -99.0
_BLOCK = 2**16  # lines made at once


def write(
    path: str | os.PathLike[str], tables: list[Table], tokenizer: Tokenizer
) -> None:
    """Writes tables, n-grams in the order of their ids.

    Args:
        path: The file; it is written beside and renamed.
        tables: One for each order.
        tokenizer: Of the ids.
    """
    names = words(tokenizer)
    named = np.flatnonzero(np.arange(len(names)) != Tokenizer.pad_id)
    sizes = [len(named), *(len(table.keys) - 1 for table in tables[1:])]
    with (
        writing.new_file(path) as beside,
        beside.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write("\\data\\\n")
        for order, size in enumerate(sizes, start=1):
            file.write(f"ngram {order}={size}\n")
        tokens = np.arange(len(names))[:, np.newaxis]  # [S,order]
        for order, table in enumerate(tables, start=1):
            file.write(f"\n\\{order}-grams:\n")
            if order > 1:
                prefix, last = np.divmod(table.keys[:-1], len(names))
                tokens = np.column_stack([tokens[prefix], last])
                named = np.arange(len(last))
            highest = order == len(tables)
            for first in range(0, len(named), _BLOCK):
                rows = named[first : first + _BLOCK]
                lines = _lines(table, rows, tokens[rows], names, highest)
                file.writelines(lines)
        file.write("\n\\end\\\n")


def read(path: str | os.PathLike[str], tokenizer: Tokenizer) -> list[Table]:
    """Reads the tables that a file holds.

    Args:
        path: The file.
        tokenizer: Whose pieces are the words.

    Returns:
        A `Table` for each order.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no ARPA file, has a word that the tokenizer has
            not, or an n-gram whose first words are not an n-gram too.
    """
    names = words(tokenizer)
    tables: list[Table] = []
    with Path(path).open(encoding="utf-8", newline="\n") as file:
        reader = _Reader(path, file, names)
        for order, count in enumerate(reader.sizes(), start=1):
            grams = reader.grams(order, count)
            keys = _keys(tables, grams.tokens, len(names))
            for row in np.flatnonzero(keys < 0)[:1]:
                reader.fail(
                    "list an n-gram's first words as an n-gram too",
                    " ".join(names[token] for token in grams.tokens[row]),
                )
            first, places = np.unique(keys, return_index=True)
            if len(first) < count:
                reader.fail("list an n-gram once", f"{order}-grams")
            table = _table(keys[places], *(v[places] for v in grams[1:]))
            tables.append(_all_ids(table, len(names)) if order == 1 else table)
        reader.expect("\\end\\")
    return tables


class _Grams(NamedTuple):
    tokens: np.ndarray  # int32 [S,order]
    log_probs: np.ndarray  # float64 [S], to base 10
    backoffs: np.ndarray  # float64 [S], to base 10


class _Reader:
    """The lines of a file, with the place for errors."""

    def __init__(
        self, path: str | os.PathLike[str], file: TextIO, names: list[str]
    ):
        self.path = os.fspath(path)
        self.lines = enumerate(file, start=1)
        self.ids = {name: number for number, name in enumerate(names) if name}
        self.line, self.number = "", 0

    def sizes(self) -> list[int]:
        """The numbers of n-grams by order, down to the first section."""
        while self.following() != "\\data\\":  # what stands before is prose
            if not self.line:
                self.fail("have a line `\\data\\`")
        sizes: list[int] = []
        while match := re.fullmatch(r"ngram (\d+) *= *(\d+)", self.following()):
            if int(match[1]) != len(sizes) + 1:
                self.fail(f"go on with `ngram {len(sizes) + 1}=`")
            sizes.append(int(match[2]))
        if not sizes or self.line != "\\1-grams:":
            self.fail("say how many n-grams follow: `ngram 1=...`")
        return sizes

    def grams(self, order: int, count: int) -> _Grams:
        """A section with its heading."""
        heading = f"\\{order}-grams:"
        if self.line != heading:
            self.expect(heading)
        found = _Grams(
            np.empty([count, order], np.int32),
            np.empty(count),
            np.zeros(count),
        )
        for row in range(count):
            fields = re.split("[ \t]+", self.following())
            try:
                found.log_probs[row] = float(fields[0])
                found.backoffs[row] = float((fields[order + 1 :] or [0])[0])
            except ValueError:
                self.fail(f"have {count} lines for the {order}-grams")
            if not order < len(fields) <= order + 2:
                self.fail(f"have a number and {order} words in this line")
            for place, word in enumerate(fields[1 : order + 1]):
                if word not in self.ids:
                    self.fail("hold no word but the tokenizer's", word)
                found.tokens[row, place] = self.ids[word]
        return found

    def expect(self, wanted: str) -> None:
        """Goes to the next line that is not empty; it must be this."""
        if self.following() != wanted:
            self.fail(f"have `{wanted}` here")

    def following(self) -> str:
        """The next line that is not empty; an empty one at the end."""
        self.line = ""
        for number, line in self.lines:
            self.number, self.line = number, line.strip(" \t\r\n")
            if self.line:
                break
        return self.line

    def fail(self, rule: str, found: str | None = None) -> NoReturn:
        """Raises what is wrong with the file."""
        raise ValueError(
            f"`path` must be an ARPA file: it must {rule}. Received: "
            f"path={self.path!r}, line {self.number}: {found or self.line!r}"
        )


def _lines(
    table: Table,
    rows: np.ndarray,
    tokens: np.ndarray,
    names: list[str],
    highest: bool,
) -> list[str]:
    """The lines of some n-grams."""
    probabilities = np.maximum(table.log_probs[rows] / _TEN, _ZERO)
    backoffs = np.maximum(table.backoffs[rows] / _TEN, _ZERO)
    return [
        f"{probability:.9g}\t{' '.join(names[token] for token in gram)}"
        + ("\n" if highest else f"\t{backoff:.9g}\n")
        for probability, gram, backoff in zip(
            probabilities.tolist(),
            tokens.tolist(),
            backoffs.tolist(),
            strict=True,
        )
    ]


def _keys(tables: list[Table], tokens: np.ndarray, size: int) -> np.ndarray:
    """The keys of n-grams [S,order]; negative without their prefix."""
    index = np.zeros(len(tokens), np.int64)
    for table, last in zip(tables, tokens.T[:-1], strict=True):
        wanted = index * size + last
        places = np.searchsorted(table.keys, wanted)
        there = (table.keys[places] == wanted) & (index >= 0)
        index = np.where(there, places, -1)
    return np.where(index < 0, -1, index * size + tokens[:, -1])


def _table(
    keys: np.ndarray, log_probs: np.ndarray, backoffs: np.ndarray
) -> Table:
    natural = [
        np.where(values <= _ZERO, -np.inf, values * _TEN).astype(np.float32)
        for values in (log_probs, backoffs)
    ]
    return Table(
        np.append(keys, ABSENT),
        *(np.append(values, np.float32(0)) for values in natural),
    )


def _all_ids(table: Table, size: int) -> Table:
    """The table of order 1 with an entry for every id."""
    places = np.append(table.keys[:-1], size)
    log_probs = np.full(size + 1, -np.inf, np.float32)
    log_probs[places] = table.log_probs
    log_probs[Tokenizer.start_id] = -np.inf
    backoffs = np.zeros(size + 1, np.float32)
    backoffs[places] = table.backoffs
    return Table(np.append(np.arange(size), ABSENT), log_probs, backoffs)
