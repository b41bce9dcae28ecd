"""Characters: one id for each Unicode code point.

Axes: B batch, (T) tokens of a row, ragged.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tflm import parallel
from tflm.tokenizers.batches import batches
from tflm.tokenizers.normalizer import Normalizer
from tflm.tokenizers.tokenizer import Tokenizer

_SPECIAL = 4
_CODE_POINTS = 0x110000
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Characters(Tokenizer):
    """One token for each Unicode code point, with TensorFlow's core ops only.

    A byte sequence that is not UTF-8 is read as U+FFFD. An unknown character
    is detokenized as U+FFFD; padding, start and end as nothing.

    Args:
        vocabulary: Sequence of distinct single characters; the first has id 4.
        lowercase: Whether text is turned to lower case first. Default False.
        normalization: str. See `Normalizer`. Default "none".

    Raises:
        ValueError: If an entry is not one character or stands there twice.

    Example:
    >>> tokenizer = Characters.train(["abba", "cab"])
    >>> tokenizer.tokenize(tf.constant(["cab", ""])).to_list()
    [[6, 4, 5], []]
    >>> tokenizer.detokenize(tokenizer.tokenize(tf.constant("baa"))).numpy()
    b'baa'
    """

    kind = "characters"

    def __init__(
        self,
        vocabulary: Iterable[str],
        lowercase: bool = False,
        normalization: str = "none",
    ):
        self.vocabulary = tuple(vocabulary)
        self.lowercase = lowercase
        self.normalizer = Normalizer(lowercase, normalization)
        self.op_libraries = self.normalizer.op_libraries
        for entry in self.vocabulary:
            if len(entry) != 1:
                raise ValueError(
                    "`vocabulary` must hold single characters. "
                    f"Received: {entry!r}"
                )
        if len(set(self.vocabulary)) != len(self.vocabulary):
            twice = Counter(self.vocabulary).most_common(1)[0][0]
            raise ValueError(
                "`vocabulary` must hold each character once. "
                f"Received twice: {twice!r}"
            )
        self._id_of_code_point = _id_of_code_point(self.vocabulary)
        self._surfaces = np.array(
            ["", _REPLACEMENT, "", "", *self.vocabulary], dtype=object
        )

    @classmethod
    def train(
        cls,
        texts: Iterable[str | bytes | tf.Tensor],
        vocabulary_size: int | None = None,
        min_count: int = 1,
        lowercase: bool = False,
        normalization: str = "none",
    ) -> "Characters":
        """Collects the characters of texts, the most frequent first.

        Args:
            texts: Iterable or `tf.data.Dataset` of scalar strings.
            vocabulary_size: Optional int, the most ids to have, the four
                special ones included. The rarest characters are left out.
            min_count: int. Characters that occur fewer times are left out.
            lowercase: bool. As in the constructor.
            normalization: str. As in the constructor.

        Returns:
            A `Characters`. Equal counts are ordered by code point.

        Raises:
            ValueError: If no character is left.
        """
        if vocabulary_size is not None and vocabulary_size <= _SPECIAL:
            raise ValueError(
                f"`vocabulary_size` must be at least {_SPECIAL + 1}. "
                f"Received: vocabulary_size={vocabulary_size}"
            )
        counts = _counted(texts, Normalizer(lowercase, normalization))
        kept = [c for c in counts if counts[c] >= min_count]
        kept.sort(key=lambda character: (-counts[character], character))
        if vocabulary_size is not None:
            kept = kept[: vocabulary_size - _SPECIAL]
        if not kept:
            raise ValueError(
                "`texts` must hold a character that occurs at least "
                f"`min_count` times. Received: {len(counts)} different "
                f"characters, min_count={min_count}"
            )
        return cls(kept, lowercase, normalization)

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, the four special ones included."""
        return _SPECIAL + len(self.vocabulary)

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Strings, a scalar or [B], to int32 ids, [T] or ragged [B,(T)]."""
        strings = tf.convert_to_tensor(strings, tf.string)
        return _map_values(self._look_up, self._decode(strings))

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Ids, [T], [B,T] or ragged [B,(T)], to strings, a scalar or [B]."""
        surfaces = tf.constant(self._surfaces)
        pieces = _map_values(lambda values: tf.gather(surfaces, values), ids)
        return tf.strings.reduce_join(pieces, axis=-1)

    def unknown_bytes(self, strings: tf.Tensor) -> tf.Tensor:
        """UTF-8 bytes of the unknown characters, int64 like `strings`."""
        strings = tf.convert_to_tensor(strings, tf.string)
        return tf.reduce_sum(
            _map_values(self._lost_bytes, self._decode(strings)), axis=-1
        )

    def unknown_pieces(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """The characters of each text [B] that are unknown, [B,(U)]."""
        text = self.normalizer(tf.convert_to_tensor(strings, tf.string))
        unknown = self.tokenize(strings) == self.unk_id
        characters = tf.strings.unicode_split(text, "UTF-8")  # [B,(T)]
        return tf.ragged.boolean_mask(characters, unknown)

    def get_config(self) -> dict[str, Any]:
        """The vocabulary and whether text is turned to lower case."""
        return {
            "lowercase": self.lowercase,
            **self.normalizer.get_config(),
            "vocabulary": list(self.vocabulary),
        }

    def _decode(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        return tf.strings.unicode_decode(self.normalizer(strings), "UTF-8")

    def _look_up(self, code_points: tf.Tensor) -> tf.Tensor:
        table = tf.constant(self._id_of_code_point)
        # The table's last entry is the unknown's: beyond it lies nothing.
        return tf.gather(table, tf.minimum(code_points, tf.size(table) - 1))

    def _lost_bytes(self, code_points: tf.Tensor) -> tf.Tensor:
        unknown = self._look_up(code_points) == self.unk_id
        lengths = 1 + sum(
            tf.cast(code_points >= first, tf.int64)
            for first in (0x80, 0x800, 0x10000)
        )
        return tf.where(unknown, lengths, 0)


def _counted(
    texts: Iterable[str | bytes | tf.Tensor], normalizer: Normalizer
) -> Counter[str]:
    def count(batch: tf.Tensor) -> np.ndarray:
        # The same ops as in `tokenize`: Python's own lower() differs.
        code_points = tf.strings.unicode_decode(normalizer(batch), "UTF-8")
        return np.bincount(code_points.flat_values.numpy())

    counts = np.zeros(_CODE_POINTS, np.int64)
    for found in parallel.mapped(count, batches(texts)):
        counts[: len(found)] += found
    return Counter({chr(c): int(counts[c]) for c in np.flatnonzero(counts)})


def _id_of_code_point(vocabulary: tuple[str, ...]) -> np.ndarray:
    """A dense table: faster in a graph than a hash table, and a constant."""
    code_points = np.array([ord(entry) for entry in vocabulary], np.int64)
    table = np.full(code_points.max(initial=0) + 2, Characters.unk_id, np.int32)
    table[code_points] = np.arange(len(code_points)) + _SPECIAL
    return table


def _map_values(function: Any, values: tf.RaggedTensor | tf.Tensor) -> Any:
    if isinstance(values, tf.RaggedTensor):
        return tf.ragged.map_flat_values(function, values)
    return function(tf.convert_to_tensor(values))
