"""What every kind of training sequence is: batches computed from the step.

Axes: B batch, T time.
"""

import abc
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tflm import checked
from tflm.pipelines.examples import Examples
from tflm.pipelines.token_store import TokenStore

_NO_END = 2**62
# Batches whose pages of the store stay in memory: a touch may map 2 MiB.
_READS_KEPT = 4


class Sequences(abc.ABC):
    """Batches of training examples, each a function of (seed, step).

    So a run continues at any step without replaying the steps before it.

    Args:
        store: The split's targets.
        seq_len: int. Targets in a sequence at the most, T.
        batch_size: int. Sequences in a batch, B.
        seed: int. Decides the order.

    Raises:
        ValueError: If a size is 0.
    """

    # Whether a row goes on where the same row of the batch before it ended;
    # then batches have `resets`, bool [B], as their fourth part.
    carries: ClassVar[bool] = False

    def __init__(
        self, store: TokenStore, seq_len: int, batch_size: int, seed: int
    ):
        self.store = store
        self.seq_len = seq_len
        self.batch_size = batch_size
        self.seed = seed
        self._reads = 0
        checked.require_at_least(1, self, "seq_len")
        checked.require_at_least(1, self, "batch_size")

    @abc.abstractmethod
    def steps(self, epochs: int) -> int:
        """Batches that hold all of `epochs` epochs."""

    @abc.abstractmethod
    def epoch(self, step: int) -> float:
        """Epochs done before `step`."""

    @abc.abstractmethod
    def read(self, step: int) -> tuple[np.ndarray, ...]:
        """The batch of a step."""

    def count_reading(self) -> None:
        """Lets go of what was read, now and then: a corpus may be large."""
        self._reads += 1
        if self._reads % _READS_KEPT == 0:
            self.store.release()

    @property
    def padding(self) -> float:
        """The share of an epoch's positions that hold no target."""
        return 0.0

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """The shape [B,T] of batches; None where it differs among them."""
        return self.batch_size, self.seq_len

    def dataset(
        self, first_step: int = 0, epochs: int | None = None
    ) -> tf.data.Dataset:
        """Batches from a step on.

        Args:
            first_step: int. The step of the first batch. Default 0.
            epochs: Optional int. Where the batches end. Default None: no end.

        Returns:
            `tf.data.Dataset` of `Examples`: inputs int32 [B,T], targets int32
            [B,T], weights float32 [B,T], 0 where there is no target; with
            `carries`, of tuples of these and of resets bool [B].
        """
        last_step = _NO_END if epochs is None else self.steps(epochs)
        types: list[Any] = [tf.int32, tf.int32, tf.float32]
        types += [tf.bool] * self.carries

        def numpy_read(step: int) -> tuple[np.ndarray, ...]:
            self.count_reading()
            return self.read(step)

        def read(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            batch = tf.numpy_function(numpy_read, [step], types)
            parts = [tf.ensure_shape(part, self.shape) for part in batch[:3]]
            if self.carries:
                return *parts, tf.ensure_shape(batch[3], self.shape[:1])
            return Examples(*parts)

        steps = tf.data.Dataset.range(first_step, last_step)
        return steps.map(read).prefetch(4).with_options(options())


def options() -> tf.data.Options:
    """The options of every data set of batches."""
    made = tf.data.Options()
    # There is nothing to tune, and where a run ends before the data does,
    # the tuner's thread can hold it up for 20 seconds.
    made.autotune.enabled = False
    return made


def generator(*seed: int) -> np.random.Generator:
    """Random numbers that two numbers decide, whatever was drawn before.

    >>> generator(1, 2).integers(100, size=3).tolist() == (
    ...     generator(1, 2).integers(100, size=3).tolist())
    True
    """
    return np.random.Generator(np.random.Philox(key=seed))


def require_tokens(store: TokenStore, seq_len: int) -> None:
    """Raises `ValueError` if a split is shorter than one sequence."""
    tokens = store.counts.tokens
    if tokens < seq_len:
        raise ValueError(
            f"the training text must hold at least `seq_len` tokens: give "
            f"more text or --seq_len {tokens} or less. "
            f"Received: {tokens} tokens, seq_len={seq_len}"
        )
