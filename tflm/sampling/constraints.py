"""What the tokens before say about the next one, the same for every row.

Axes: B batch, V vocabulary, N tokens remembered, M tokens of an n-gram
without its last, W places where an n-gram can stand.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tflm.sampling.filters import ban

# Tokens that a row remembers: enough for a text that a person reads, and a
# token costs the same however long the text is.
REMEMBERED = 1024
_OUT = float("-inf")
_NOTHING = 0  # padding, which is no token of a text


@dataclasses.dataclass(frozen=True)
class Constraints:
    """Bans and penalties, in front of temperature and filters.

    Repetition is looked for in the last 1,024 tokens, the prompt's included.

    Attributes:
        banned: bool[V], True for the ids that are never generated.
        repetition_penalty: float. The logits of the ids that stand in the text
            are divided by it where they are positive and multiplied where they
            are negative. 1 is off. Reference: Keskar et al., 2019, section
            4.1, https://arxiv.org/abs/1909.05858, which divides; a negative
            logit divided would grow.
        no_repeat_ngram: int. An id that would complete as many tokens in a row
            that stand in the text already is out. 0 is off. A row that would
            be left with no id at all is spared this rule. Reference: Paulus
            et al., 2017, section 2.5, https://arxiv.org/abs/1705.04304.

    Example:
    >>> rules = Constraints(np.zeros(5, bool), no_repeat_ngram=2)
    >>> history = rules.remember(rules.nothing(1), tf.constant([[3, 4, 3]]))
    >>> rules.apply(tf.zeros([1, 5]), history).numpy()
    array([[  0.,   0.,   0.,   0., -inf]], dtype=float32)
    """

    banned: np.ndarray
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0

    @property
    def remembers(self) -> bool:
        """Whether a row's history is looked at at all."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram > 0

    def nothing(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """The history of rows that have read nothing, int32[B,N]."""
        return tf.fill([batch_size, REMEMBERED], _NOTHING)

    def remember(
        self, history: tf.Tensor, ids: tf.Tensor | tf.RaggedTensor
    ) -> tf.Tensor:
        """The history [B,N] once ids [B,T] or ragged [B,(T)] are read."""
        if not isinstance(ids, tf.RaggedTensor):
            return tf.concat([history, ids], axis=1)[:, -REMEMBERED:]
        joined = tf.concat([tf.RaggedTensor.from_tensor(history), ids], axis=1)
        return joined[:, -REMEMBERED:].to_tensor(shape=[None, REMEMBERED])

    def apply(self, logits: tf.Tensor, history: tf.Tensor | None) -> tf.Tensor:
        """Takes out and lowers what the rules say.

        Args:
            logits: float32[B,V].
            history: int32[B,N], from `remember`; None where nothing is
                remembered.

        Returns:
            float32[B,V]; what is out has -inf.
        """
        logits = ban(logits, self.banned)
        if history is None:
            return logits
        if self.repetition_penalty != 1:
            logits = _penalize(logits, history, self.repetition_penalty)
        if self.no_repeat_ngram:
            logits = _ban_repeats(logits, history, self.no_repeat_ngram)
        return logits


def _penalize(
    logits: tf.Tensor, history: tf.Tensor, penalty: float
) -> tf.Tensor:
    lower = tf.where(logits > 0, logits / penalty, logits * penalty)
    return tf.where(_among(history, tf.shape(logits)), lower, logits)


def _ban_repeats(logits: tf.Tensor, history: tf.Tensor, size: int) -> tf.Tensor:
    before = size - 1
    followed = history[:, before:]  # [B,W]
    width = REMEMBERED - before
    same = followed != _NOTHING
    for place in range(before):
        own = history[:, REMEMBERED - before + place, tf.newaxis]
        # A text shorter than the n-gram finds no token behind what it has.
        same &= history[:, place : place + width] == own
    completes = tf.where(same, followed, _NOTHING)
    out = _among(completes, tf.shape(logits))
    allowed = tf.where(out, _OUT, logits)
    left = tf.reduce_any(allowed > _OUT, axis=1, keepdims=True)
    return tf.where(left, allowed, logits)


def _among(ids: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Which of all ids stand in each row of `ids` [B,N]: bool[B,V]."""
    rows = tf.repeat(tf.range(shape[0]), tf.shape(ids)[1])
    places = tf.stack([rows, tf.reshape(ids, [-1])], axis=1)  # [B*N,2]
    counts = tf.scatter_nd(places, tf.ones_like(rows), shape)
    there = counts > 0
    return there & (tf.range(shape[1]) != _NOTHING)
