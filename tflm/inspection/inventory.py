"""What a split holds: counts, lengths of documents, frequent tokens.

Axes: V vocabulary.
"""

import dataclasses
from typing import Any

import numpy as np

from tflm.pipelines import TokenStore
from tflm.tokenizers import Tokenizer

_BLOCK = 2**22  # targets looked at together


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What a split holds.

    Attributes:
        figures: Counts and shares by name.
        histogram: How many documents have from `low` to `high` tokens, as
            (low, high, count), from the shortest; lengths double from bin to
            bin.
        frequencies: int64 [V], how often each id is a target.
    """

    figures: dict[str, Any]
    histogram: list[tuple[int, int, int]]
    frequencies: np.ndarray

    def most_frequent(self, most: int) -> list[tuple[int, int]]:
        """The ids that occur most and how often; END is none of them."""
        counts = self.frequencies.copy()
        counts[Tokenizer.end_id] = 0
        order = np.argsort(-counts, kind="stable")[:most]
        return [(int(i), int(counts[i])) for i in order if counts[i]]


def take_inventory(store: TokenStore, vocabulary_size: int) -> Inventory:
    """Counts what is in a split, in bounded memory.

    Args:
        store: The split.
        vocabulary_size: int. V.

    Returns:
        The `Inventory`.
    """
    counts = store.counts
    tokens = counts.tokens - counts.ends  # END is no token of the text
    lengths = store.lengths
    figures = {
        **dataclasses.asdict(counts),
        "tokens": tokens,
        "bytes_per_token": _share(counts.bytes, tokens),
        "characters_per_token": _share(counts.characters, tokens),
        "unknown_share": _share(counts.unknown_tokens, tokens),
        "unknown_bytes_share": _share(counts.unknown_bytes, counts.bytes),
        "different_tokens": 0,
        "shortest_document": int(lengths.min()),
        "median_document": float(np.median(lengths)),
        "longest_document": int(lengths.max()),
    }
    frequencies = np.zeros(vocabulary_size, np.int64)
    for first in range(0, len(store.targets), _BLOCK):
        block = store.targets[first : first + _BLOCK]
        frequencies += np.bincount(block, minlength=vocabulary_size)
    seen = np.flatnonzero(frequencies)
    figures["different_tokens"] = int((seen != Tokenizer.end_id).sum())
    return Inventory(figures, _histogram(lengths), frequencies)


def _histogram(lengths: np.ndarray) -> list[tuple[int, int, int]]:
    bins = np.frexp(lengths.astype(np.float64))[1]  # 0, then [2^(b-1), 2^b)
    counts = np.bincount(bins)
    first = int(np.flatnonzero(counts)[0])
    return [
        (2**b // 2, max(2**b - 1, 0), int(counts[b]))
        for b in range(first, len(counts))
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
