"""Stop strings, found byte by byte while a text grows.

Axes: B batch, L bytes of the longest text, S states of the automaton.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_BYTES = 256
_START = 0


class StopStrings:
    """An automaton that ends where the first of some strings has ended.

    One number a row says how much of which string has been met, wherever the
    borders of the tokens lie. Reference: Aho and Corasick, 1975,
    https://doi.org/10.1145/360825.360855.

    Args:
        strings: Strings that are not empty.

    Example:
    >>> stops = StopStrings(["the end"])
    >>> state, kept = stops.advance(stops.start(1), tf.constant(["at the e"]))
    >>> state, kept = stops.advance(state, tf.constant(["nd of it"]))
    >>> stops.met(state).numpy(), kept.numpy()
    (array([ True]), array([2], dtype=int32))
    """

    def __init__(self, strings: Sequence[str]):
        self._met, table = _automaton([string.encode() for string in strings])
        self._table = table.reshape(-1)  # [S*256]

    @property
    def num_states(self) -> int:
        """How many states there are, the start's 0 the first."""
        return len(self._table) // _BYTES

    def start(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """The states of rows without text, int32[B]."""
        return tf.fill([batch_size], _START)

    def met(self, state: tf.Tensor) -> tf.Tensor:
        """Which rows have met a stop string, bool[B]."""
        return state == self._met

    def advance(
        self, state: tf.Tensor, texts: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads the text that each row grows by.

        Args:
            state: int32[B].
            texts: string[B].

        Returns:
            The states after, int32[B], and how many bytes of each text there
            are up to the end of its first stop string, int32[B]: all of them
            where there is none.
        """
        lengths = tf.strings.length(texts)  # [B]
        width = tf.maximum(tf.reduce_max(lengths), 1)
        raw = tf.io.decode_raw(texts, tf.uint8, fixed_length=width)  # [B,L]
        codes = tf.cast(raw, tf.int32)

        def read(
            place: tf.Tensor, state: tf.Tensor, kept: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            goes_on = (place < lengths) & ~self.met(state)
            after = tf.gather(self._table, state * _BYTES + codes[:, place])
            state = tf.where(goes_on, after, state)
            return place + 1, state, kept + tf.cast(goes_on, tf.int32)

        _, state, kept = tf.while_loop(
            lambda place, *_: place < width,
            read,
            (tf.constant(0), state, tf.zeros_like(state)),
        )
        return state, kept


def first_bytes(texts: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """The first so many bytes of texts [B]; `sizes` int32[B].

    >>> first_bytes(tf.constant(["abc", "d"]), tf.constant([2, 5])).numpy()
    array([b'ab', b'd'], dtype=object)
    """
    return tf.strings.substr(texts, tf.zeros_like(sizes), sizes)


def _automaton(strings: list[bytes]) -> tuple[int, np.ndarray]:
    """The state of a string met, and the state after each, int32[S,256]."""
    children: list[dict[int, int]] = [{}]
    ends: set[int] = set()
    for string in strings:
        node = _START
        for byte in string:
            if byte not in children[node]:
                children[node][byte] = len(children)
                children.append({})
            node = children[node][byte]
        ends.add(node)
    table = np.zeros((len(children), _BYTES), np.int32)
    for byte, child in children[_START].items():
        table[_START, byte] = child
    # The shorter first: what a node falls back to has its row already.
    waiting = deque((child, _START) for child in children[_START].values())
    while waiting:
        node, fallback = waiting.popleft()
        if fallback in ends:
            ends.add(node)
        table[node] = table[fallback]
        for byte, child in children[node].items():
            waiting.append((child, int(table[fallback, byte])))
            table[node, byte] = child
    met = min(ends)
    table[np.isin(table, list(ends))] = met
    return met, table
