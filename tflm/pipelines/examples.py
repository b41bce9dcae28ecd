"""The one place where inputs, targets and weights are made.

The input of a target is the token before it; START where none precedes. END
is the target after a document's last token, never an input; START is never a
target. So a document of n tokens has n + 1 targets, or n where a split cut it
off, and all documents' targets stand in one row, one after another.

Axes: B batch, T time, N all targets of a split.
"""

from typing import NamedTuple

import numpy as np

from tflm.tokenizers import Tokenizer


class Examples(NamedTuple):
    """A batch to learn from or to score."""

    inputs: np.ndarray  # int32 [B,T]
    targets: np.ndarray  # int32 [B,T]
    weights: np.ndarray  # float32 [B,T], 0 where there is no target


def make_examples(
    targets: np.ndarray,
    starts: np.ndarray,
    positions: np.ndarray,
    weights: np.ndarray,
) -> Examples:
    """Makes the inputs and targets of positions in a row of targets.

    Args:
        targets: unsigned int [N]. The targets of a split.
        starts: int64, ascending. Where in [0, N) a document starts.
        positions: int64 [B,T] in [0, N). Values where `weights` is negative
            are ignored.
        weights: float32 [B,T]. 1 counts, 0 is read but not scored, negative
            is padding: neither.

    Returns:
        `Examples` of int32, int32 and float32 [B,T].

    Example:
    >>> targets = np.array([7, 8, 3, 9, 3], np.uint16)  # "78" and "9"
    >>> batch = make_examples(
    ...     targets, np.array([0, 3]), np.array([[0, 1, 2, 3, 4]]),
    ...     np.ones([1, 5], np.float32))
    >>> batch.inputs.tolist()
    [[2, 7, 8, 2, 9]]
    """
    read = weights >= 0
    positions = np.where(read, positions, 0)
    first = _are_members(positions, starts)
    inputs = np.where(first, Tokenizer.start_id, targets[positions - 1])
    return Examples(
        np.where(read, inputs, Tokenizer.pad_id).astype(np.int32),
        np.where(read, targets[positions], Tokenizer.pad_id).astype(np.int32),
        np.maximum(weights, 0).astype(np.float32),
    )


def _are_members(values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """`np.isin` for sorted members, without a copy of them."""
    index = np.searchsorted(members, values).clip(max=len(members) - 1)
    return members[index] == values
