"""The n-gram model: tables of n-grams in the place of a network.

Axes: B batch, T time, H the tokens of a history (order - 1), V vocabulary,
R rows, B x T.
"""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm.models.language_model import LanguageModel, State, advance
from tflm.models.ngrams import arpa, tables
from tflm.models.ngrams.query import Query
from tflm.models.ngrams.smoothing import estimate
from tflm.models.ngrams.tables import Table
from tflm.pipelines import TokenStore
from tflm.tokenizers import Tokenizer

# Stands for the logarithm of 0 in a distribution, where -inf would leave
# nothing to draw from once all that is possible is banned. e to the power of
# it is 0, and divided by the lowest temperature it is still a float32.
_IMPOSSIBLE = -1e8


@keras.saving.register_keras_serializable(package="tflm")
class NGram(LanguageModel):
    """Predicts each token from the few before it, by what a text counted.

    A call gives log-probabilities: they are logits whose exponentials sum to
    1. The history of a token is the `order - 1` tokens before it or, where
    START is among them, those from START on; order 1 has no history. Padding
    and START have probability 0; the unknown token, where it never occurred,
    has what `smoothing` gives to any token that never occurred. A logarithm
    of 0 is given as -1e8 by a call, which `nats` gives as infinite.

    The tables are weights, not trainable: they come from `train` or
    `from_arpa`; a model made by its constructor has empty ones and gives the
    uniform distribution.

    Args:
        vocabulary_size: int. Number of ids, V.
        order: int, at least 1. Tokens of the longest n-grams. Default 5.
        sizes: Optional ints, one for each order from 2 up: n-grams in its
            table. Default None: 0 for each.
        **kwargs: Keras's own model arguments (`name`, `dtype`).

    Raises:
        ValueError: If `order` or a size is out of its range.

    Example:
    >>> model = NGram(vocabulary_size=6, order=3)
    >>> logits, state = model(tf.constant([[2, 5]]), return_state=True)
    >>> np.exp(logits[0, 1]).tolist()
    [0.0, 0.25, 0.0, 0.25, 0.25, 0.25]
    >>> state["history"].numpy().tolist(), state["position"].numpy().tolist()
    ([[2, 5]], [2])
    """

    settings = ("order",)

    def __init__(
        self,
        *,
        vocabulary_size: int,
        order: int = 5,
        sizes: Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(vocabulary_size=vocabulary_size, **kwargs)
        self.supports_jit = False  # XLA has no such look-up in tables
        if order < 1:
            raise ValueError(
                f"`order` must be at least 1. Received: order={order}"
            )
        sizes = [0] * (order - 1) if sizes is None else list(sizes)
        if len(sizes) != order - 1 or min(sizes, default=0) < 0:
            raise ValueError(
                "`sizes` must be a number of n-grams, at least 0, for each "
                f"order from 2 up. Received: sizes={sizes}, order={order}"
            )
        self.order = order
        self.sizes = sizes
        # Tables
        self.keys: list[keras.Variable] = []  # of orders 2, 3, ...
        self.log_probs: list[keras.Variable] = []  # of orders 1, 2, ...
        self.backoffs: list[keras.Variable] = []  # of orders 1 to order - 1
        for number, size in enumerate([vocabulary_size, *sizes], start=1):
            if number > 1:
                self.keys.append(self._table("keys", number, size, "int64"))
            self.log_probs.append(self._table("log_probs", number, size))
            if number < order:
                self.backoffs.append(self._table("backoffs", number, size))
        self._query = Query(
            [vocabulary_size, *sizes], self.keys, self.log_probs, self.backoffs
        )
        self.built = True
        if not any(sizes):
            self._fill(tables.uniform(vocabulary_size, order))

    @classmethod
    def train(
        cls,
        store: TokenStore,
        *,
        vocabulary_size: int,
        order: int = 5,
        smoothing: str = "kneser_ney",
        add_k: float = 1.0,
        discount: float | None = None,
        held_out: TokenStore | None = None,
        **kwargs: Any,
    ) -> "NGram":
        """Counts a text.

        Args:
            store: The training text.
            vocabulary_size: int. Number of ids, V.
            order: int, at least 1. Default 5.
            smoothing: How tokens never seen after a history get their share.
                - "mle": not at all, relative frequencies.
                - "laplace": `add_k` added to every count.
                - "interpolation": Jelinek and Mercer's, weights by
                  expectation maximisation on held-out text.
                - "backoff": Katz's, with the discounts of Good and Turing.
                - "kneser_ney": interpolated modified Kneser-Ney, default.
            add_k: float above 0. Default 1.
            discount: Optional float in [0, 1]. One discount for
                "kneser_ney", as first published. Default None: three an
                order, estimated.
            held_out: Optional text for "interpolation". Default None: the
                last tenth of the training text.
            **kwargs: Keras's own model arguments.

        Returns:
            The model.

        Raises:
            ValueError: If an argument is out of its range.
        """
        estimated = estimate(
            store,
            vocabulary_size,
            order,
            smoothing,
            add_k=add_k,
            discount=discount,
            held_out=held_out,
        )
        return cls._from_tables(estimated, vocabulary_size, **kwargs)

    @classmethod
    def from_arpa(
        cls,
        path: str | os.PathLike[str],
        tokenizer: Tokenizer,
        **kwargs: Any,
    ) -> "NGram":
        """Reads an ARPA file, see `tflm.models.ngrams.arpa`.

        Args:
            path: The file.
            tokenizer: The `Tokenizer` whose pieces are the file's words.
            **kwargs: Keras's own model arguments.

        Returns:
            The model.

        Raises:
            FileNotFoundError: If there is no file.
            ValueError: If it is no ARPA file, or has other words.
        """
        read = arpa.read(path, tokenizer)
        return cls._from_tables(read, tokenizer.vocabulary_size, **kwargs)

    def write_arpa(
        self, path: str | os.PathLike[str], tokenizer: Tokenizer
    ) -> None:
        """Writes the model as an ARPA file, see `tflm.models.ngrams.arpa`.

        Args:
            path: The file; it is written beside and renamed.
            tokenizer: The `Tokenizer` of the model's ids.
        """
        arpa.write(path, self._tables(), tokenizer)

    @property
    def num_ngrams(self) -> int:
        """How many n-grams of all orders there are, those of order 1 V."""
        return self.vocabulary_size + sum(self.sizes)

    def call(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
        return_state: bool = False,
        training: bool | None = None,
    ) -> tf.Tensor | tuple[tf.Tensor, State]:
        # Forward graph
        contexts, state = self._read(ids, mask, initial_state)
        flat = [tf.reshape(context, [-1]) for context in contexts]  # [R]
        shape = tf.concat([tf.shape(ids), [self.vocabulary_size]], axis=0)
        logits = tf.reshape(self._query.distribution(flat, tf.size(ids)), shape)
        logits = tf.maximum(logits, _IMPOSSIBLE)  # [B,T,V]
        return (logits, state) if return_state else logits

    def nats(
        self,
        ids: tf.Tensor,
        targets: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
    ) -> tuple[tf.Tensor, State]:
        contexts, state = self._read(ids, mask, initial_state)
        targets = tf.convert_to_tensor(targets)  # [B,T]
        return -self._query.log_prob(contexts, targets), state

    def build(self, input_shape: tuple[Any, ...]) -> None:
        # The constructor has made the tables: their sizes are given.
        self.built = True

    def get_initial_state(self, batch_size: int | tf.Tensor) -> State:
        return {
            "position": tf.zeros([batch_size], tf.int32),
            "history": tf.zeros([batch_size, self.order - 1], tf.int32),
        }

    def fit(self, *unused: Any, **unused_too: Any) -> None:
        """Raises: there is no gradient here."""
        raise NotImplementedError(
            "an n-gram model is counted, not fitted: use `tflm.train` "
            "(`python -m tflm.train --model ngram`) or `NGram.train`"
        )

    def get_config(self) -> dict[str, Any]:
        # Config
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "order": self.order,
            "sizes": list(self.sizes),
        }

    @classmethod
    def _from_tables(
        cls, found: list[Table], vocabulary_size: int, **kwargs: Any
    ) -> "NGram":
        sizes = [len(table.keys) - 1 for table in found[1:]]
        order = len(found)
        model = cls(
            vocabulary_size=vocabulary_size, order=order, sizes=sizes, **kwargs
        )
        model._fill(found)
        return model

    def _table(
        self, name: str, order: int, size: int, dtype: str = "float32"
    ) -> keras.Variable:
        # The last entry stands for all that are not there, see `Table`.
        return self.add_weight(
            shape=(size + 1,),
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
            name=f"{name}_{order}",
        )

    def _fill(self, found: list[Table]) -> None:
        """Moves the tables into the weights; the list is empty afterwards."""
        found.reverse()
        for row in range(self.order):
            table = found.pop()
            if row > 0:
                self.keys[row - 1].assign(table.keys)
            self.log_probs[row].assign(table.log_probs)
            if row < self.order - 1:
                self.backoffs[row].assign(table.backoffs)

    def _tables(self) -> list[Table]:
        ids = np.append(np.arange(self.vocabulary_size), tables.ABSENT)
        keys = [ids, *(np.array(key) for key in self.keys)]
        log_probs = [np.array(values) for values in self.log_probs]
        backoffs = [np.array(values) for values in self.backoffs]
        backoffs.append(np.zeros_like(log_probs[-1]))
        return [
            Table(*columns)
            for columns in zip(keys, log_probs, backoffs, strict=True)
        ]

    def _read(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None,
        initial_state: State | None,
    ) -> tuple[list[tf.Tensor], State]:
        """Contexts of 1 to order - 1 tokens, int [B,T] each, and the state."""
        ids = tf.cast(ids, tf.int32)  # [B,T]
        if initial_state is None:
            initial_state = self.get_initial_state(tf.shape(ids)[0])
        position = advance(initial_state["position"], ids, mask)
        if mask is None:
            read = ids
            last = tf.range(tf.shape(ids)[1])[tf.newaxis]  # [1,T]
            last = tf.broadcast_to(last, tf.shape(ids))
        else:
            # The ids that count, moved together; the last one at each place.
            length = tf.shape(ids)[1]
            read = tf.ragged.boolean_mask(ids, mask)
            read = read.to_tensor(shape=[None, None])
            read = tf.pad(read, [[0, 0], [0, length - tf.shape(read)[1]]])
            last = tf.cumsum(tf.cast(mask, tf.int32), axis=1) - 1  # [B,T]
        history = self.order - 1
        tokens = tf.concat([initial_state["history"], read], axis=1)  # [B,H+T]
        kept = (position - initial_state["position"])[:, tf.newaxis]
        kept += tf.range(history)  # [B,H]
        state = {
            "position": position,
            "history": tf.gather(tokens, kept, batch_dims=1),
        }
        contexts = [
            tf.gather(nodes, history + last, batch_dims=1)  # [B,T]
            for nodes in self._query.nodes(tokens)
        ]
        return contexts, state
