"""Held-out text for scoring: each document read in order, state carried.

Axes: B lanes, T time, N all targets of the split.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tflm import config
from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.token_store import TokenStore


class LaneBatch(NamedTuple):
    """The next T positions of each lane."""

    examples: Examples  # [B,T]
    mask: np.ndarray  # bool [B,T], False where there is nothing to read
    resets: np.ndarray  # bool [B], rows that start with a fresh state


class Segment(NamedTuple):
    """A stretch of targets that is read with one state."""

    begin: int  # first position read
    scored_from: int  # first position scored: what stands before warms up
    end: int


class Lanes:
    """Documents side by side, each target scored exactly once.

    A lane reads one document after another, `seq_len` positions a batch, and
    says where its state must start afresh: at each document.

    Args:
        store: The split's targets.
        seq_len: int. Positions in a batch, T.
        batch_size: int. Lanes at the most, B.
        longest: Optional int. Documents with more targets are cut into
            segments of about this length that are read side by side, each
            after the `seq_len` positions before it, which warm its state up.
            That is fast and a close estimate. Default None: nothing is cut,
            and the score is exact.

    Raises:
        ValueError: If a size is 0.
    """

    def __init__(
        self,
        store: TokenStore,
        seq_len: int,
        batch_size: int,
        longest: int | None = None,
    ):
        self.store = store
        self.seq_len = seq_len
        self.batch_size = batch_size
        self.longest = longest
        for name in ("seq_len", "batch_size", "longest"):
            config.require_at_least(1, self, name)
        segments = _segments(store, seq_len, longest)
        # The longest first, so that the lanes end together.
        self.segments = sorted(segments, key=lambda s: s.begin - s.end)
        self.batch_size = min(batch_size, len(segments))

    def __iter__(self) -> Iterator[LaneBatch]:
        waiting = iter(self.segments)
        current = [next(waiting, None) for _ in range(self.batch_size)]
        read = [0] * self.batch_size  # positions of the current segment
        while any(segment is not None for segment in current):
            positions = np.zeros([self.batch_size, self.seq_len], np.int64)
            weights = np.full([self.batch_size, self.seq_len], -1, np.float32)
            resets = np.array([count == 0 for count in read])
            for row, segment in enumerate(current):
                if segment is None:
                    continue
                first = segment.begin + read[row]
                last = min(first + self.seq_len, segment.end)
                there = np.arange(first, last)
                positions[row, : last - first] = there
                weights[row, : last - first] = there >= segment.scored_from
                read[row] += last - first
                if last == segment.end:
                    current[row] = next(waiting, None)
                    read[row] = 0
            examples = make_examples(
                self.store.targets, self.store.starts, positions, weights
            )
            yield LaneBatch(examples, weights >= 0, resets)


def _segments(
    store: TokenStore, warm_up: int, longest: int | None
) -> list[Segment]:
    segments = []
    for start, length in zip(store.starts, store.lengths, strict=True):
        parts = 1 if longest is None else -(-length // longest)
        bounds = np.linspace(start, start + length, parts + 1).astype(np.int64)
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            warm_from = max(int(start), int(begin) - warm_up)
            segments.append(Segment(warm_from, int(begin), int(end)))
    return segments
