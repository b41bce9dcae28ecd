"""Pieces of documents as a `tf.data.Dataset`, and back. Axes: B pieces."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tflm.datasets.documents import PIECE_BYTES, Piece
from tflm.grouping import by_size

_MOST_PIECES = 1024
_READ_AT_ONCE = 16
_SIGNATURE = {
    "text": tf.TensorSpec([None], tf.string),
    "starts": tf.TensorSpec([None], tf.bool),
    "ends": tf.TensorSpec([None], tf.bool),
}


def dataset_of(pieces: Callable[[], Iterator[Piece]]) -> tf.data.Dataset:
    """A data set of pieces, read from the start at every pass.

    Args:
        pieces: Gives the pieces in order.

    Returns:
        `tf.data.Dataset` of dicts of scalars, see `TextSplits`.

    Example:
    >>> dataset = dataset_of(lambda: iter([Piece(b"a", True, False)]))
    >>> [piece] = dataset.as_numpy_iterator()
    >>> piece["text"], bool(piece["starts"]), bool(piece["ends"])
    (b'a', True, False)
    """

    # A call into Python takes as long as hundreds of short pieces do.
    def columns() -> Iterator[dict[str, Any]]:
        groups = by_size(
            pieces(), lambda piece: len(piece.text), PIECE_BYTES, _MOST_PIECES
        )
        return map(_columns, groups)

    return tf.data.Dataset.from_generator(
        columns, output_signature=_SIGNATURE
    ).unbatch()


def pieces_of(dataset: tf.data.Dataset) -> Iterator[Piece]:
    """The pieces of such a data set.

    Example:
    >>> pieces = [Piece(b"a", True, False), Piece(b"b", False, True)]
    >>> list(pieces_of(dataset_of(lambda: iter(pieces)))) == pieces
    True
    """
    # A call of a data set, too: a few long pieces at once are not too many, if
    # no others are read behind them meanwhile.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    batches = dataset.batch(_READ_AT_ONCE).with_options(options)
    for batch in batches.as_numpy_iterator():
        columns = (
            batch["text"],
            batch["starts"].tolist(),
            batch["ends"].tolist(),
        )
        yield from map(Piece, *columns)


def _columns(batch: list[Piece]) -> dict[str, Any]:
    texts, starts, ends = zip(*batch, strict=True)
    return {"text": texts, "starts": starts, "ends": ends}
