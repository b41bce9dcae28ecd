"""Texts in batches: an operation for each text would take long."""

from collections.abc import Iterable, Iterator

import tensorflow as tf

from tflm.grouping import by_size

_BATCH_BYTES = 2**20
_BATCH_TEXTS = 2**14
_READ_AT_ONCE = 16


def batches(texts: Iterable[str | bytes | tf.Tensor]) -> Iterator[tf.Tensor]:
    """Strings [B] of about a megabyte."""
    groups = by_size(each(texts), len, _BATCH_BYTES, _BATCH_TEXTS)
    return map(tf.constant, groups)


def each(texts: Iterable[str | bytes | tf.Tensor]) -> Iterator[bytes]:
    """The UTF-8 of each text, whatever holds it."""
    if isinstance(texts, tf.data.Dataset):
        # A call of a data set takes longer than a short text does.
        for batch in texts.batch(_READ_AT_ONCE).as_numpy_iterator():
            yield from batch
        return
    for text in texts:
        if isinstance(text, tf.Tensor):
            text = text.numpy()
        yield text.encode() if isinstance(text, str) else text
