"""How often each word stands in texts. Axes: B batch, N words, U distinct."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tflm import parallel
from tflm.tokenizers.batches import batches
from tflm.tokenizers.normalizer import Normalizer


def counted(
    texts: Iterable[str | bytes | tf.Tensor], normalizer: Normalizer
) -> tuple[Counter[bytes], int, int]:
    r"""Counts the words between white space, and the newlines.

    Args:
        texts: Iterable or `tf.data.Dataset` of scalar strings.
        normalizer: What the text is given first.

    Returns:
        The count of each word, of newlines, and of those behind a space.

    Example:
    >>> counts, newlines, spaced = counted(["a b a \n"], Normalizer())
    >>> counts, newlines, spaced
    (Counter({b'a': 2, b'b': 1}), 1, 1)
    """

    def count(batch: tf.Tensor) -> tuple[np.ndarray, np.ndarray, list[bytes]]:
        # The same ops as in `tokenize`: Python's own lower() differs.
        strings = normalizer(batch)  # [B]
        words = tf.strings.split(strings).flat_values  # [N]
        distinct, _, times = tf.unique_with_counts(words)  # [U]
        return distinct.numpy(), times.numpy(), strings.numpy().tolist()

    counts: Counter[bytes] = Counter()
    newlines = spaced = 0
    for distinct, times, strings in parallel.mapped(count, batches(texts)):
        for word, own in zip(distinct.tolist(), times.tolist(), strict=True):
            counts[word] += own
        for string in strings:
            newlines += string.count(b"\n")
            spaced += string.count(b" \n")
    return counts, newlines, spaced
