"""The parts of a held-out text, which the bootstrap resamples.

Axes: K parts, N all targets of a split, (T) targets of a part, ragged.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tflm.pipelines import TokenStore
from tflm.tokenizers import Tokenizer

# With fewer documents than these, each is cut into blocks.
_FEWEST_DOCUMENTS = 20
_BLOCK = 1000  # targets


class Parts(NamedTuple):
    """Where the parts of a split start, and what each holds."""

    unit: str  # "document", or "block" of about 1,000 targets
    starts: np.ndarray  # int64 [K], ascending positions in [0, N)
    tokens: np.ndarray  # int64 [K], targets
    bytes: np.ndarray  # float64 [K]
    unknown_bytes: np.ndarray  # float64 [K]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of [N] values in each part, float64 [K]."""
        return np.add.reduceat(values, self.starts, dtype=np.float64)


def cut(store: TokenStore, tokenizer: Tokenizer) -> Parts:
    """Divides a split into its documents, or few documents into blocks.

    A part's bytes are those of its detokenized ids, and its unknown bytes go
    by its unknown tokens; both are scaled so that the parts sum to the text's.
    That is exact for bytes, and where nothing is unknown for characters and
    for words with regular white space.

    Args:
        store: The split.
        tokenizer: What made its ids.

    Returns:
        The `Parts`. No part is without a target, and none holds the targets
        of two documents.
    """
    lengths = store.lengths
    starts = store.starts[lengths > 0]
    unit = "document"
    if len(starts) < _FEWEST_DOCUMENTS:
        unit = "block"
        bounds = zip(starts, lengths[lengths > 0], strict=True)
        starts = np.concatenate(
            [start + _block_starts(int(length)) for start, length in bounds]
        )
    tokens = np.diff(starts, append=len(store.targets))
    ids = tf.RaggedTensor.from_row_lengths(
        store.targets.astype(np.int32), tokens
    )  # [K,(T)]
    surfaces = tf.strings.length(tokenizer.detokenize(ids)).numpy()
    unknown = np.add.reduceat(
        store.targets == Tokenizer.unk_id, starts, dtype=np.float64
    )
    return Parts(
        unit,
        starts,
        tokens,
        _scaled(surfaces, store.counts.bytes),
        _scaled(unknown, store.counts.unknown_bytes),
    )


def _block_starts(length: int) -> np.ndarray:
    """Where blocks of about the same length start, [K]."""
    blocks = max(round(length / _BLOCK), 1)
    return np.arange(blocks) * length // blocks


def _scaled(values: np.ndarray, total: int) -> np.ndarray:
    """Values in proportion to what they were, float64, of this sum."""
    return values * (total / max(values.sum(), 1))
