"""Ids of words, as constants of a graph.

Axes: N words, V vocabulary.
"""

import numpy as np
import tensorflow as tf

from tflm.tokenizers.tokenizer import Tokenizer

_SPECIAL = 4
_HASHES = 2**62


class WordTable:
    """Ids of words by binary search over hashes: constants, no hash table.

    A table of TensorFlow's would have to be initialised where an export is
    loaded. A word found by its hash is compared, so that no other passes.
    """

    def __init__(self, surfaces: tf.Tensor):
        hashes = _hash(surfaces).numpy()
        hashes[:_SPECIAL] = -1  # no text turns into a special id
        order = np.argsort(hashes, kind="stable")
        self.hashes = tf.constant(hashes[order])
        self.order = tf.constant(order.astype(np.int32))
        self.surfaces = surfaces

    def ids(self, words: tf.Tensor) -> tf.Tensor:
        """The ids, int32, of `words`; `unk_id` for those not there."""
        place = tf.searchsorted(self.hashes, _hash(words))
        place = tf.minimum(place, tf.size(self.order) - 1)
        found = tf.gather(self.order, place)
        same = tf.gather(self.surfaces, found) == words
        return tf.where(same & (found >= _SPECIAL), found, Tokenizer.unk_id)


def _hash(words: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(words, _HASHES)
