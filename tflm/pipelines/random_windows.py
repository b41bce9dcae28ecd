"""Training windows at random offsets. Axes: B batch, T time."""

import numpy as np

from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.sequences import Sequences, generator, require_tokens
from tflm.pipelines.token_store import TokenStore


class RandomWindows(Sequences):
    """Windows of `seq_len` targets, each from an offset drawn anew.

    An epoch is as many steps as hold the text once, but some targets come
    more often than others. See `Sequences` for the arguments.

    Raises:
        ValueError: If the split is shorter than one window, or a size is 0.

    `tflm.pipelines.sequences_of` shows all kinds side by side.
    """

    def __init__(
        self, store: TokenStore, seq_len: int, batch_size: int, seed: int
    ):
        super().__init__(store, seq_len, batch_size, seed)
        require_tokens(store, seq_len)

    def steps(self, epochs: int) -> int:
        """Batches that hold as many targets as `epochs` epochs have."""
        targets = self.batch_size * self.seq_len
        return -(-epochs * self.store.counts.tokens // targets)

    def epoch(self, step: int) -> float:
        """Targets before `step`, in texts."""
        targets = step * self.batch_size * self.seq_len
        return targets / self.store.counts.tokens

    def read(self, step: int) -> Examples:
        """The batch of a step."""
        offsets = generator(self.seed, step).integers(
            self.store.counts.tokens - self.seq_len + 1, size=self.batch_size
        )
        positions = offsets[:, np.newaxis] + np.arange(self.seq_len)  # [B,T]
        weights = np.ones(positions.shape, np.float32)
        return make_examples(
            self.store.targets, self.store.starts, positions, weights
        )
