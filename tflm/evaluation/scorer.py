"""Scores a split under a model, each target once, state carried.

Axes: B lanes, T time, V vocabulary.
"""

import tensorflow as tf

from tflm.evaluation.score import Score
from tflm.models import LanguageModel, State
from tflm.pipelines import Lanes


class Scorer:
    """Scores texts under one model; one trace for each size of batch.

    Args:
        model: The `LanguageModel`.
    """

    def __init__(self, model: LanguageModel):
        self.model = model
        self._step = tf.function(self._score_batch, reduce_retracing=True)

    def score(self, lanes: Lanes) -> Score:
        """Reads the lanes to their end and adds up the nats of the targets.

        Args:
            lanes: The split, in the order in which it is read.

        Returns:
            The `Score` of the whole split. Sums are float64.
        """
        state = self.model.get_initial_state(lanes.batch_size)
        nats = 0.0
        for (inputs, targets, weights), mask, resets in lanes:
            sum_, state = self._step(
                inputs, targets, weights, mask, resets, state
            )
            nats += float(sum_)
        return Score(nats, lanes.store.counts)

    def _score_batch(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        mask: tf.Tensor,
        resets: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        state = reset(state, resets)
        logits, state = self.model(
            inputs,
            mask=mask,
            initial_state=state,
            return_state=True,
            training=False,
        )  # [B,T,V]
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        # A masked position's logits are anything, perhaps not a number.
        nats = tf.where(weights > 0, tf.cast(nats, tf.float64), 0)  # [B,T]
        return tf.reduce_sum(nats), state


def reset(state: State, rows: tf.Tensor) -> State:
    """The state with the rows where `rows`, bool [B], is True at zero."""

    def clear(values: tf.Tensor) -> tf.Tensor:
        ones = tf.ones([tf.rank(values) - 1], tf.int32)
        where = tf.reshape(rows, tf.concat([tf.shape(rows), ones], axis=0))
        return tf.where(where, tf.zeros_like(values), values)

    return {name: clear(values) for name, values in state.items()}
