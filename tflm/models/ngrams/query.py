"""Tables of n-grams asked in a graph, by binary search.

Axes: B batch, L tokens in a row, R rows, V vocabulary, S n-grams of an order.
"""

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Query:
    """Looks n-grams up in tables of the form of `Table`.

    A context is named by its index in the table of its order. What is not
    there has the index of the table's last entry, and so have all n-grams
    that would begin with it.

    Attributes:
        sizes: The number of n-grams, by order from 1 up; of order 1, V.
        keys: int64 [S + 1] of orders 2, 3, ...
        log_probs: float32 [S + 1] of orders 1, 2, ...
        backoffs: float32 [S + 1] of orders 1, 2, ..., but the highest.
    """

    sizes: list[int]
    keys: Sequence[keras.Variable]
    log_probs: Sequence[keras.Variable]
    backoffs: Sequence[keras.Variable]

    def nodes(self, tokens: tf.Tensor) -> list[tf.Tensor]:
        """The contexts that end at each token.

        Args:
            tokens: int32 [B,L].

        Returns:
            int32 [B,L] each, contexts of 1 token, 2, ..., order - 1.
        """
        nodes: list[tf.Tensor] = []
        for row in range(len(self.backoffs)):
            if row == 0:
                nodes.append(tokens)
                continue
            none = tf.fill([tf.shape(tokens)[0], 1], self.sizes[row - 1])
            before = tf.concat([none, nodes[-1][:, :-1]], axis=1)
            nodes.append(self._find(row - 1, before, tokens))
        return nodes

    def log_prob(
        self, contexts: list[tf.Tensor], tokens: tf.Tensor
    ) -> tf.Tensor:
        """The log-probability of each token after its contexts.

        Args:
            contexts: int32 of any shape, contexts of 1 token, 2, ...
            tokens: int of that shape.

        Returns:
            float32 of that shape.
        """
        log_prob = tf.gather(self.log_probs[0], tokens)
        for row, context in enumerate(contexts):
            found = self._find(row, context, tokens)
            log_prob = tf.where(
                found < self.sizes[row + 1],
                tf.gather(self.log_probs[row + 1], found),
                log_prob + tf.gather(self.backoffs[row], context),
            )
        return log_prob

    def distribution(
        self, contexts: list[tf.Tensor], rows: tf.Tensor
    ) -> tf.Tensor:
        """The log-probabilities of all tokens.

        Args:
            contexts: int32 [R] each, contexts of 1 token, 2, ...
            rows: int32 scalar, R.

        Returns:
            float32 [R,V].
        """
        weights = [
            tf.gather(backoffs, context)
            for backoffs, context in zip(self.backoffs, contexts, strict=True)
        ]
        # A token costs the weights of all contexts longer than the one that
        # knows it: at first, of all.
        longer = tf.add_n([tf.zeros([rows]), *weights])  # [R]
        logits = longer[:, tf.newaxis] + self.log_probs[0][:-1]  # [R,V]
        for row, context in enumerate(contexts):
            longer = tf.add_n([tf.zeros([rows]), *weights[row + 1 :]])
            first = self._first_key(context)
            bounds = tf.concat([first, first + self.sizes[0]], axis=0)
            bounds = tf.searchsorted(self.keys[row], bounds)  # [2 x R]
            known = tf.ragged.range(bounds[:rows], bounds[rows:])  # [R,(S)]
            places, owner = known.flat_values, known.value_rowids()
            token = tf.gather(self.keys[row], places) % self.sizes[0]
            values = tf.gather(self.log_probs[row + 1], places)
            logits = tf.tensor_scatter_nd_update(
                logits,
                tf.stack([owner, token], axis=1),
                values + tf.gather(longer, owner),
            )
        return logits

    def _find(
        self, row: int, contexts: tf.Tensor, tokens: tf.Tensor
    ) -> tf.Tensor:
        """Index of each context's n-gram with a token."""
        wanted = self._first_key(contexts) + tf.cast(tokens, tf.int64)
        flat = tf.reshape(wanted, [-1])
        places = tf.searchsorted(self.keys[row], flat)
        there = tf.gather(self.keys[row], places) == flat
        places = tf.where(there, places, self.sizes[row + 1])
        return tf.reshape(places, tf.shape(wanted))

    def _first_key(self, contexts: tf.Tensor) -> tf.Tensor:
        """The lowest key that an n-gram of each context can have."""
        return tf.cast(contexts, tf.int64) * self.sizes[0]
