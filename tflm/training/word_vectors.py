"""Pretrained word vectors, read from text files.

Axes: V vocabulary, D width.
"""

import gzip
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tflm.tokenizers import Tokenizer, Words
from tflm.tokenizers.splitting import JOINER

_MOST = float(np.finfo(np.float32).max)


class WordVectors(NamedTuple):
    """Vectors for a vocabulary.

    Attributes:
        table: float32 [V,D], a row for each id.
        found: Words of the vocabulary that the file has.
        missing: Words of the vocabulary that it has not; the newline and the
            unknown word are such as a rule.
    """

    table: np.ndarray
    found: int
    missing: int


def read_word_vectors(
    path: str | os.PathLike[str], tokenizer: Tokenizer, seed: int = 0
) -> WordVectors:
    r"""Reads the vectors of a tokenizer's words.

    The file is text with a word and its numbers a line: GloVe's form, or
    word2vec's, whose first line says how many there are; also with .gz behind
    its name. It is read line by line, and only the vocabulary's vectors are
    kept. A word that comes twice has its first vector.

    Args:
        path: The file.
        tokenizer: `Words`.
        seed: int. Draws the vectors of missing words, which have the mean and
            the standard deviation of those found. Padding's is zero.

    Returns:
        The `WordVectors`.

    Raises:
        ValueError: If the tokenizer is of another kind, a line is malformed
            (the message names it), or no word is found.
        OSError: If the file cannot be read.

    References: Pennington et al., "GloVe", 2014; Mikolov et al., 2013,
    https://arxiv.org/abs/1301.3781.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "vectors.txt")
    ...     _ = file.write_text("rose 1 2\nlily 3 4\n")
    ...     vectors = read_word_vectors(file, Words(["\n", "rose"]))
    >>> vectors.table[5], vectors.found, vectors.missing
    (array([1., 2.], dtype=float32), 1, 2)
    """
    check(path, tokenizer.kind)
    assert isinstance(tokenizer, Words)
    ids = _ids_of_words(tokenizer)
    table: np.ndarray | None = None
    rows: list[int] = []
    for word, numbers in _lines(Path(path), set(ids)):
        if table is None:
            size = (tokenizer.vocabulary_size, len(numbers))
            table = np.zeros(size, np.float32)
        new = ids.pop(word, [])  # none if the word has come before
        table[new] = numbers
        rows += new
    words = tokenizer.vocabulary_size - Tokenizer.end_id  # the unknown's too
    if table is None:
        raise ValueError(
            "`embeddings` must have words of the vocabulary. "
            f"Received: embeddings={os.fspath(path)!r} with none of {words:,}"
        )
    known = table[rows]
    missing = np.setdiff1d(np.arange(1, len(table)), rows)
    random = np.random.default_rng(seed)
    table[missing] = random.normal(
        known.mean(), known.std(), (len(missing), table.shape[1])
    )
    return WordVectors(table, len(rows), words - len(rows))


def check(path: str | os.PathLike[str], kind: str) -> None:
    """Finds out what can be known to be wrong before the words are known.

    Args:
        path: The file.
        kind: The tokenizer's kind.

    Raises:
        ValueError: If it is not words.
        OSError: If the file cannot be opened.
    """
    if kind != Words.kind:
        raise ValueError(
            "`embeddings` go with --tokenizer words. Received: "
            f"tokenizer={kind!r}"
        )
    with Path(path).open("rb"):
        pass


def _ids_of_words(tokenizer: Words) -> dict[bytes, list[int]]:
    """The ids of each word's text; with and without a joiner it is one."""
    ids = defaultdict(list)
    ids[tokenizer.unknown_word.encode()].append(tokenizer.unk_id)
    for id_, word in enumerate(tokenizer.vocabulary, Tokenizer.end_id + 1):
        ids[word.removeprefix(JOINER).encode()].append(id_)
    return dict(ids)


def _lines(
    path: Path, wanted: set[bytes]
) -> Iterator[tuple[bytes, np.ndarray]]:
    """The wanted words with their numbers."""
    width = words = number = 0  # of words, what word2vec's header says
    for number, raw in enumerate(_raw_lines(path), start=1):
        line = raw.rstrip(b" \r\n")
        fields = line.count(b" ")
        if number == 1 and fields == 1 and _are_counts(line):
            words, width = map(int, line.split(b" "))
            continue
        width = width or fields
        word = line.split(b" ", 1)[0]
        # A word may have spaces inside, but then a number is no part of it.
        if fields > width and not _is_number(line.split(b" ", 2)[1]):
            word, *_ = line.rsplit(b" ", width)
        elif fields != width or not width:
            found = f"{fields} numbers behind the word"
            raise _malformed(path, number, found, width)
        if word in wanted:
            yield word, _numbers(path, number, line, width)
    if words and number - 1 < words:
        raise ValueError(
            f"`embeddings` must have {words:,} words, as line 1 says. "
            f"Received: {number - 1:,} in {path}"
        )


def _raw_lines(path: Path) -> Iterator[bytes]:
    open_ = gzip.open if path.suffix == ".gz" else open
    try:
        with open_(path, "rb") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            "`embeddings` must be a whole file, compressed by gzip if its "
            f"name ends in .gz. Received: {path} ({error})"
        ) from error


def _numbers(path: Path, number: int, line: bytes, width: int) -> np.ndarray:
    fields = line.rsplit(b" ", width)[1:]
    try:
        numbers = np.array([float(field) for field in fields])
    except ValueError:
        numbers = np.array(np.nan)
    if np.all(np.abs(numbers) <= _MOST):
        return numbers
    bad = next(field for field in fields if not _is_number(field))
    shown = bad.decode("utf-8", "backslashreplace")
    raise _malformed(path, number, f"{shown!r}", width)


def _is_number(field: bytes) -> bool:
    try:
        return abs(float(field)) <= _MOST
    except ValueError:
        return False


def _are_counts(line: bytes) -> bool:
    return all(field.isdigit() for field in line.split(b" "))


def _malformed(path: Path, number: int, found: str, width: int) -> ValueError:
    return ValueError(
        "`embeddings` must have a word and as many finite numbers on each "
        f"line, here {width or 'at least 1'}. Received: {found} on line "
        f"{number} of {path}"
    )
