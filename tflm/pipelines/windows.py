"""Training windows of fixed length, in an order computed from the step.

Axes: B batch, T time, N all targets of the split.
"""

import numpy as np
import tensorflow as tf

from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.sequences import Sequences, options, require_tokens
from tflm.pipelines.token_store import TokenStore


class Windows(Sequences):
    """Shuffled windows of `seq_len` targets; each target once an epoch.

    An epoch cuts the row of N targets, turned by a random amount so that the
    boundaries move, into windows, and takes them in random order. Amount and
    order are functions of (seed, epoch, index): a run continues at any step
    without replaying the steps before it. Batches are always full: one that
    ends an epoch goes on with the next epoch's windows.

    Args:
        store: The split's targets.
        seq_len: int. Targets in a window, T.
        batch_size: int. Windows in a batch, B.
        seed: int. Decides the order.

    Raises:
        ValueError: If the split is shorter than one window, or a size is 0.

    Example:
    >>> import tempfile
    >>> from tflm.pipelines import prepare
    >>> from tflm.tokenizers import Characters
    >>> both = [True, True]
    >>> text = {"text": ["abcab", "ba"], "starts": both, "ends": both}
    >>> pieces = tf.data.Dataset.from_tensor_slices(text)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = prepare(pieces, Characters("abc"), folder)
    >>> windows = Windows(store, seq_len=3, batch_size=2, seed=0)
    >>> batch = next(iter(windows.dataset()))
    >>> batch.inputs.numpy().tolist(), batch.targets.numpy().tolist()
    ([[4, 5, 6], [4, 5, 2]], [[5, 6, 4], [5, 3, 5]])
    """

    def __init__(
        self, store: TokenStore, seq_len: int, batch_size: int, seed: int
    ):
        super().__init__(store, seq_len, batch_size, seed)
        require_tokens(store, seq_len)
        tokens = store.counts.tokens
        self.windows_per_epoch = -(-tokens // seq_len)

    def steps(self, epochs: int) -> int:
        """Batches that hold all windows of `epochs` epochs."""
        return -(-epochs * self.windows_per_epoch // self.batch_size)

    def epoch(self, step: int) -> float:
        """Epochs done before `step`."""
        return step * self.batch_size / self.windows_per_epoch

    def dataset(
        self, first_step: int = 0, epochs: int | None = None
    ) -> tf.data.Dataset:
        """Batches from a step on.

        Args:
            first_step: int. The step of the first batch. Default 0.
            epochs: Optional int. Where the batches end; the last one is then
                filled up with windows of weight 0. Default None: no end.

        Returns:
            `tf.data.Dataset` of `Examples`: inputs int32 [B,T], targets int32
            [B,T], weights float32 [B,T].
        """
        last_step = 2**62 if epochs is None else self.steps(epochs)
        windows = self.windows_per_epoch * (epochs or 0) or 2**62
        shape = (self.batch_size, self.seq_len)

        def read(step: tf.Tensor) -> Examples:
            rows = tf.range(self.batch_size, dtype=tf.int64)
            example = step * self.batch_size + rows  # [B]
            index, turn = self._order(example)
            index = tf.where(example < windows, index, -1)
            batch = tf.numpy_function(
                self._read, [index, turn], [tf.int32, tf.int32, tf.float32]
            )
            return Examples(*(tf.ensure_shape(part, shape) for part in batch))

        steps = tf.data.Dataset.range(first_step, last_step)
        return steps.map(read).prefetch(4).with_options(options())

    def read(self, step: int) -> Examples:
        """The batch of a step."""
        example = step * self.batch_size + tf.range(
            self.batch_size, dtype=tf.int64
        )
        return self._read(*(part.numpy() for part in self._order(example)))

    def _order(self, example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Each row's window and how far its epoch's targets are turned."""
        epoch = example // self.windows_per_epoch  # [B]
        index = example % self.windows_per_epoch
        last = self.windows_per_epoch - 1
        window = _shuffle(index, [self.seed, epoch, 0], last)
        first = tf.zeros_like(epoch)
        last = self.store.counts.tokens - 1
        return window, _shuffle(first, [self.seed, epoch, 1], last)

    def _read(self, index: np.ndarray, turn: np.ndarray) -> Examples:
        self.count_reading()
        tokens = self.store.counts.tokens
        offsets = index[:, np.newaxis] * self.seq_len + np.arange(self.seq_len)
        there = (offsets >= 0) & (offsets < tokens)  # [B,T]
        positions = (offsets + turn[:, np.newaxis]) % tokens
        weights = np.where(there, 1, -1).astype(np.float32)
        return make_examples(
            self.store.targets, self.store.starts, positions, weights
        )


def _shuffle(index: tf.Tensor, seed: list, last: int) -> tf.Tensor:
    """Takes [0, last] onto itself, in another order for every seed."""
    seeds = [
        tf.broadcast_to(tf.cast(s, tf.int64), tf.shape(index)) for s in seed
    ]
    return tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=tf.stack(seeds, axis=1),  # [B,3]
        max_index=tf.constant(last, tf.int64),
    )
