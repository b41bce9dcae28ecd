"""Rows in parts of one size, so that several cores work on them at once.

Axes: B batch, P rows of a part.
"""

from typing import Any, NamedTuple

import tensorflow as tf


class RowPart(NamedTuple):
    """Some of the rows, in their order.

    Parts have one size, for which one kernel is made: where the rows are not
    divided by it, the last parts begin with rows of the parts before.
    """

    first: tf.Tensor  # int32, scalar
    size: tf.Tensor  # int32, scalar: P
    borrowed: tf.Tensor  # int32, scalar: of its first rows, those of others

    def of(self, tensors: Any) -> Any:
        """The part's rows [P,...] of tensors [B,...] in any structure."""
        behind = self.first + self.size
        return tf.nest.map_structure(
            lambda tensor: tensor[self.first : behind], tensors
        )

    def only_own(self, tensors: Any) -> Any:
        """Without borrowed rows, of tensors [P,...] in any structure."""
        return tf.nest.map_structure(
            lambda tensor: tensor[self.borrowed :], tensors
        )

    @property
    def own(self) -> tf.Tensor:
        """Whether rows are of this part alone, bool [P]."""
        return tf.range(self.size) >= self.borrowed


def row_parts(batch_size: tf.Tensor, count: int) -> list[RowPart]:
    """Parts in which each row is some part's own, once.

    Args:
        batch_size: int32, scalar, B.
        count: int. The number of parts. The last ones have no rows of their
            own where there are fewer rows.

    Returns:
        The parts in the order of their own rows.

    Example:
    >>> [part.of(tf.range(3)).numpy().tolist() for part in row_parts(3, 2)]
    [[0, 1], [1, 2]]
    >>> [part.own.numpy().tolist() for part in row_parts(3, 2)]
    [[True, True], [False, True]]
    """
    size = (batch_size + count - 1) // count  # P
    parts = []
    for index in range(count):
        due = index * size
        first = tf.minimum(due, batch_size - size)
        borrowed = tf.minimum(due - first, size)
        parts.append(RowPart(first, size, borrowed))
    return parts


def joined(parts: list[RowPart], tensors: list[Any]) -> Any:
    """Tensors [B,...] of those of each part, [P,...], in any structure."""
    own = [
        part.only_own(given) for part, given in zip(parts, tensors, strict=True)
    ]
    return tf.nest.map_structure(lambda *rows: tf.concat(rows, axis=0), *own)
