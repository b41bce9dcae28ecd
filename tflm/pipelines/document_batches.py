"""One example a document, padded. Axes: B batch, T time, S stretches."""

import functools

import numpy as np

from tflm import checked, config
from tflm.pipelines.buckets import bucket_bounds
from tflm.pipelines.examples import Examples
from tflm.pipelines.sequences import Sequences, generator
from tflm.pipelines.stretches import cut_documents, padded
from tflm.pipelines.token_store import TokenStore


class DocumentBatches(Sequences):
    """Documents side by side, padded on the right with weight 0.

    A document longer than `seq_len` goes on in further examples, whose first
    input is the token before. An epoch takes all examples in random order;
    every target stands in it once. Batches are always full: what a length's
    last batch lacks is padding too.

    Args:
        store, seq_len, seed: See `Sequences`.
        batch_size: int. Documents in a batch of the longest ones; batches of
            shorter ones have more, so that all have about as many positions.
        pad: str. "buckets" sorts the documents by length into at most 8
            shapes, chosen for the least padding; "longest" pads a batch to
            its longest document, "fixed" to `seq_len`. Default "buckets".

    Raises:
        ValueError: If `pad` is unknown or a size is 0.

    `tflm.pipelines.sequences_of` shows all kinds side by side.
    """

    def __init__(
        self,
        store: TokenStore,
        seq_len: int,
        batch_size: int,
        seed: int,
        pad: str = "buckets",
    ):
        super().__init__(store, seq_len, batch_size, seed)
        if pad not in config.PADDINGS:
            raise ValueError(checked.unknown("pad", pad, config.PADDINGS))
        self.pad = pad
        self.stretches = cut_documents(store, seq_len)
        lengths = self.stretches.lengths  # [S]
        self.bounds = np.array([seq_len])
        if pad == "buckets":
            self.bounds = bucket_bounds(lengths)
        self.bucket = np.searchsorted(self.bounds, lengths)  # [S]
        self.batch_sizes = batch_size * seq_len // self.bounds
        self.counts = self._counts()  # examples in the batches of each bucket
        self.batches = -(-self.counts // self.batch_sizes)
        self.steps_per_epoch = int(self.batches.sum())
        # The order of the epoch that is read, for all of its steps.
        self._order = functools.lru_cache(maxsize=2)(self._epoch_order)

    def steps(self, epochs: int) -> int:
        """Batches that hold all of `epochs` epochs."""
        return epochs * self.steps_per_epoch

    def epoch(self, step: int) -> float:
        """Epochs done before `step`."""
        return step / self.steps_per_epoch

    @property
    def padding(self) -> float:
        """The share of an epoch's positions that hold no target.

        For "longest", of the first epoch.
        """
        if self.pad == "longest":
            steps = range(self.steps_per_epoch)
            positions = sum(self.read(step).targets.size for step in steps)
        else:
            sizes = self.batches * self.batch_sizes * self.bounds
            positions = int(sizes.sum())
        return 1 - self.store.counts.tokens / positions

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """The shape [B,T] of batches; None where it differs among them."""
        if self.pad == "fixed":
            return super().shape
        return None, None

    def read(self, step: int) -> Examples:
        """The batch of a step."""
        epoch, index = divmod(int(step), self.steps_per_epoch)
        examples, batches = self._order(epoch)
        bucket, first, last = batches[index]
        rows = examples[first:last]  # [B]
        begins = np.zeros(self.batch_sizes[bucket], np.int64)
        ends = np.zeros_like(begins)
        begins[: len(rows)] = self.stretches.begins[rows]
        ends[: len(rows)] = self.stretches.ends[rows]
        time = self.bounds[bucket]
        if self.pad == "longest":
            time = (ends - begins).max()
        return padded(self.store, begins, ends, time)

    def _counts(self) -> np.ndarray:
        """Examples in the batches of each bucket.

        Those that would need a batch of their own go among the next longer
        ones where that pads less.
        """
        counts = np.bincount(self.bucket, minlength=len(self.bounds))
        sizes, bounds = self.batch_sizes, self.bounds
        for bucket in range(len(counts) - 1):
            rest = counts[bucket] % sizes[bucket]
            longer = rest * (bounds[bucket + 1] - bounds[bucket])
            if longer < (sizes[bucket] - rest) * bounds[bucket]:
                counts[bucket] -= rest
                counts[bucket + 1] += rest
        return counts

    def _epoch_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Examples [S] by bucket, each in random order, and the batches.

        A batch is its bucket and the range [first, last) of its examples.
        """
        random = generator(self.seed, epoch)
        shuffled = random.permutation(len(self.bucket))
        shuffled = shuffled[np.argsort(self.bucket[shuffled], kind="stable")]
        counts = self.counts
        firsts = np.cumsum(counts) - counts
        bucket = np.repeat(np.arange(len(counts)), self.batches)
        before = np.cumsum(self.batches) - self.batches
        within = np.arange(len(bucket)) - before[bucket]
        first = firsts[bucket] + within * self.batch_sizes[bucket]
        last = np.minimum(
            first + self.batch_sizes[bucket], (firsts + counts)[bucket]
        )
        batches = np.column_stack([bucket, first, last])
        return shuffled, random.permutation(batches)
