"""Held-out text for scoring: documents side by side, in lanes.

Axes: B lanes, T time, N all targets of the split.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tflm import checked
from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.token_store import TokenStore


class LaneBatch(NamedTuple):
    """The next T positions of each lane."""

    examples: Examples  # [B,T]
    mask: np.ndarray  # bool [B,T], False where there is nothing to read
    resets: np.ndarray  # bool [B], rows that start with a fresh state
    positions: np.ndarray  # int64 [B,T] in [0, N), of no meaning if masked


class Segment(NamedTuple):
    """A stretch of targets that is read with one state."""

    begin: int  # first position read
    scored_from: int  # first position scored: what stands before warms up
    end: int


class Lanes:
    """Documents side by side, each target scored exactly once.

    A lane reads one document after another, `seq_len` positions a batch, and
    says where its state must start afresh: at each document, or at each
    window of it.

    Args:
        store: The split's targets.
        seq_len: int. Positions in a batch, T.
        batch_size: int. Lanes at the most, B.
        longest: Optional int. Documents with more targets are cut into
            segments of about this length that are read side by side, each
            after the `seq_len` positions before it, which warm its state up.
            That is fast and a close estimate. Default None: nothing is cut,
            and the score is exact.
        window: Optional int. Documents are read in windows of this many
            targets, each with a fresh state. Default None: the state is
            carried from a document's start to its end.
        stride: Optional int, at most `window`. Targets from the start of a
            window to the start of the next, which scores only what stands
            behind the one before it. Default None: `window`, so that no
            target is read twice.

    Raises:
        ValueError: If a size is 0, or `stride` leaves targets out.

    Example:
    >>> from tflm.pipelines.token_store import Counts
    >>> counts = Counts(1, tokens=5, ends=0, unknown_tokens=0,
    ...     unknown_bytes=0, characters=5, bytes=5)
    >>> store = TokenStore(np.arange(4, 9), np.array([0]), counts, "hash")
    >>> for batch in Lanes(store, 3, batch_size=1, window=3, stride=1):
    ...     print(batch.examples.inputs, batch.examples.weights)
    [[2 4 5]] [[1. 1. 1.]]
    [[4 5 6]] [[0. 0. 1.]]
    [[5 6 7]] [[0. 0. 1.]]
    """

    def __init__(
        self,
        store: TokenStore,
        seq_len: int,
        batch_size: int,
        longest: int | None = None,
        window: int | None = None,
        stride: int | None = None,
    ):
        self.store = store
        self.seq_len = seq_len
        self.batch_size = batch_size
        self.longest = longest
        self.window = window
        self.stride = stride
        for name in ("seq_len", "batch_size", "longest", "window", "stride"):
            checked.require_at_least(1, self, name)
        if stride is not None and stride > (window or 0):
            raise ValueError(
                "`stride` must be at most `window`, or targets are left out. "
                f"Received: stride={stride}, window={window}"
            )
        if window is None:
            segments = _segments(store, seq_len, longest)
        else:
            segments = _windows(store, window, stride or window)
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
            yield LaneBatch(examples, weights >= 0, resets, positions)


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


def _windows(store: TokenStore, window: int, stride: int) -> list[Segment]:
    """A document's windows; each scores what none before it has scored."""
    segments = []
    for start, length in zip(
        store.starts.tolist(), store.lengths.tolist(), strict=True
    ):
        begin = scored = start
        while scored < start + length:
            end = min(begin + window, start + length)
            segments.append(Segment(begin, scored, end))
            begin += stride
            scored = end
    return segments
