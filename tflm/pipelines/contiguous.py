"""Rows that go on from batch to batch, for a state that is carried across.

Axes: B batch, T time, S stretches.
"""

import numpy as np

from tflm.pipelines.sequences import Sequences, generator
from tflm.pipelines.stretches import cut_documents, padded
from tflm.pipelines.token_store import TokenStore


class Contiguous(Sequences):
    """Row i of a batch goes on where row i of the batch before it ended.

    Documents are cut into stretches of `seq_len`; the row of all stretches is
    divided among the B rows, so that every target stands in an epoch once. A
    document's last stretch is padded, and with the next document its row
    begins anew: so does every row where an epoch begins.

    With `span`, each row jumps to an offset drawn anew after every `span`
    positions, and then some targets come more often than others.

    Args:
        store, seq_len, batch_size, seed: See `Sequences`.
        span: int. Positions, a multiple of `seq_len`; 0 is off. Default 0.

    Raises:
        ValueError: If `span` is no multiple of `seq_len`, or a size is 0.

    `tflm.pipelines.sequences_of` shows all kinds side by side.

    Reference: Williams and Peng, "An efficient gradient-based algorithm for
    on-line training of recurrent network trajectories", 1990 (truncated
    back-propagation through time).
    """

    carries = True

    def __init__(
        self,
        store: TokenStore,
        seq_len: int,
        batch_size: int,
        seed: int,
        span: int = 0,
    ):
        super().__init__(store, seq_len, batch_size, seed)
        if span < 0 or span % seq_len:
            raise ValueError(
                "`span` must be a multiple of `seq_len`, or 0 (off). "
                f"Received: span={span}, seq_len={seq_len}"
            )
        self.span = span
        self.stretches = cut_documents(store, seq_len)
        # Stretches of a row, and so steps of an epoch.
        self.steps_per_epoch = -(-len(self.stretches.begins) // batch_size)

    def steps(self, epochs: int) -> int:
        """Batches that hold all of `epochs` epochs."""
        return epochs * self.steps_per_epoch

    def epoch(self, step: int) -> float:
        """Epochs done before `step`."""
        return step / self.steps_per_epoch

    @property
    def padding(self) -> float:
        """The share of an epoch's positions that hold no target."""
        positions = self.steps_per_epoch * self.batch_size * self.seq_len
        return 1 - self.store.counts.tokens / positions

    def read(self, step: int) -> tuple[np.ndarray, ...]:
        """The batch of a step, and which of its rows begin anew, bool [B]."""
        begins, ends, resets = (
            self._jumping(step) if self.span else self._in_order(step)
        )
        return *padded(self.store, begins, ends, self.seq_len), resets

    def _in_order(self, step: int) -> tuple[np.ndarray, ...]:
        step = step % self.steps_per_epoch
        rows = np.arange(self.batch_size) * self.steps_per_epoch + step  # [B]
        there = rows < len(self.stretches.begins)
        rows = np.where(there, rows, 0)
        begins = self.stretches.begins[rows]
        ends = np.where(there, self.stretches.ends[rows], begins)
        return begins, ends, self.stretches.first[rows] | (step == 0)

    def _jumping(self, step: int) -> tuple[np.ndarray, ...]:
        span, steps = divmod(step, self.span // self.seq_len)
        tokens = self.store.counts.tokens
        starts = self.store.starts
        bounds = np.append(starts, tokens)
        begins = generator(self.seed, span).integers(
            tokens, size=self.batch_size
        )
        resets = np.ones(self.batch_size, bool)
        ends = self._stretch_ends(bounds, begins)
        for _ in range(steps):
            begins = ends % tokens
            resets = bounds[np.searchsorted(bounds, begins)] == begins
            ends = self._stretch_ends(bounds, begins)
        return begins, ends, resets

    def _stretch_ends(
        self, bounds: np.ndarray, begins: np.ndarray
    ) -> np.ndarray:
        ends = bounds[np.searchsorted(bounds, begins, side="right")]
        return np.minimum(begins + self.seq_len, ends)
