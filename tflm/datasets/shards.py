"""A share of a split's documents, for readers that divide it."""

import re
from collections.abc import Iterator

import tensorflow as tf

from tflm.datasets.documents import Piece
from tflm.datasets.piece_dataset import dataset_of, pieces_of

_FORM = re.compile(r"(\d+)/(\d+)")


def parse_shard(shard: str) -> tuple[int, int]:
    """The index and the number of shards.

    Args:
        shard: Such as "0/4", "1/4", "2/4" and "3/4".

    Raises:
        ValueError: If it has another form, or the index is not below the
            number.

    Example:
    >>> parse_shard("1/4")
    (1, 4)
    """
    match = _FORM.fullmatch(shard)
    if match and int(match[1]) < int(match[2]):
        return int(match[1]), int(match[2])
    raise ValueError(
        "`shard` must be an index from 0 and the number of shards, such as "
        f"0/2 and 1/2. Received: shard={shard!r}"
    )


def sharded(pieces: tf.data.Dataset, shard: str) -> tf.data.Dataset:
    """Every n-th document of a split.

    The shards of one number hold every document once.

    Args:
        pieces: `tf.data.Dataset` of a split, see `TextSplits`.
        shard: See `parse_shard`.

    Returns:
        A data set of the same form.
    """
    index, count = parse_shard(shard)

    def own() -> Iterator[Piece]:
        document = -1
        for piece in pieces_of(pieces):
            document += piece.starts
            if document % count == index:
                yield piece

    return dataset_of(own)
