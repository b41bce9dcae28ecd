"""Stretches of documents, none longer than a sequence.

Axes: S stretches, B batch, T time, N all targets of a split.
"""

from typing import NamedTuple

import numpy as np

from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.token_store import TokenStore


class Stretches(NamedTuple):
    """Where stretches begin and end in the row of N targets, in its order."""

    begins: np.ndarray  # int64 [S]
    ends: np.ndarray  # int64 [S]
    first: np.ndarray  # bool [S]: whether a document begins there

    @property
    def lengths(self) -> np.ndarray:
        """Targets in each, int64 [S]."""
        return self.ends - self.begins


def cut_documents(store: TokenStore, seq_len: int) -> Stretches:
    """Cuts each document into stretches of `seq_len`, its last one shorter.

    Args:
        store: The split's targets.
        seq_len: int. Targets in a stretch at the most.

    Returns:
        `Stretches`. Every target stands in one of them.
    """
    starts, lengths = store.starts, store.lengths
    counts = -(-lengths // seq_len)  # stretches of each document
    firsts = np.cumsum(counts) - counts
    document = np.repeat(np.arange(len(counts)), counts)  # [S]
    within = np.arange(len(document)) - firsts[document]
    begins = starts[document] + within * seq_len
    ends = np.minimum(begins + seq_len, (starts + lengths)[document])
    return Stretches(begins, ends, within == 0)


def padded(
    store: TokenStore, begins: np.ndarray, ends: np.ndarray, time: int
) -> Examples:
    """The examples [B,T] of stretches, padded on the right with weight 0.

    Args:
        store: The split's targets.
        begins: int64 [B].
        ends: int64 [B]; where it is `begins`, a row is padding alone.
        time: int. T.
    """
    positions = begins[:, np.newaxis] + np.arange(time)  # [B,T]
    there = positions < ends[:, np.newaxis]
    weights = np.where(there, 1, -1).astype(np.float32)
    return make_examples(store.targets, store.starts, positions, weights)
