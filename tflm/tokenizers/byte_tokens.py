"""Bytes: one id for each byte of the UTF-8 text; nothing is unknown.

Axes: B batch, (T) tokens of a row, ragged.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tflm.tokenizers.tokenizer import Tokenizer

_SPECIAL = 4


class Bytes(Tokenizer):
    """One token for each byte, whatever the bytes are.

    The round trip is exact for every string, valid UTF-8 or not. Padding,
    start and end are detokenized as nothing.

    Example:
    >>> tokenizer = Bytes()
    >>> tokenizer.tokenize(tf.constant(["Hé", ""])).to_list()
    [[76, 199, 173], []]
    >>> tokenizer.detokenize([76, 199, 173]).numpy().decode()
    'Hé'
    """

    kind = "bytes"

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, the four special ones included."""
        return _SPECIAL + 256

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Strings, a scalar or [B], to int32 ids, [T] or ragged [B,(T)]."""
        strings = tf.convert_to_tensor(strings, tf.string)
        joined = tf.strings.reduce_join(strings)
        ids = tf.cast(tf.io.decode_raw(joined, tf.uint8), tf.int32) + _SPECIAL
        if strings.shape.rank == 0:
            return ids
        lengths = tf.cast(tf.strings.length(strings), tf.int64)
        return tf.RaggedTensor.from_row_lengths(ids, lengths)

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Ids, [T], [B,T] or ragged [B,(T)], to strings, a scalar or [B]."""
        surfaces = tf.constant(_SURFACES)
        if isinstance(ids, tf.RaggedTensor):
            pieces = ids.with_flat_values(tf.gather(surfaces, ids.flat_values))
        else:
            pieces = tf.gather(surfaces, ids)
        return tf.strings.reduce_join(pieces, axis=-1)

    def unknown_bytes(self, strings: tf.Tensor) -> tf.Tensor:
        """Zeros: no byte is unknown."""
        strings = tf.convert_to_tensor(strings, tf.string)
        return tf.zeros(tf.shape(strings), tf.int64)

    def get_config(self) -> dict[str, Any]:
        """Nothing: there is one such tokenizer."""
        return {}


_SURFACES = np.array(
    [b""] * _SPECIAL + [bytes([byte]) for byte in range(256)], dtype=object
)
