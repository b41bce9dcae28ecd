"""Scores a split under a model, each target once.

Axes: B lanes, T time, N all targets of the split.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tflm.evaluation.score import Score
from tflm.layers.fused import fused
from tflm.models import (
    LanguageModel,
    NGram,
    State,
    part_count,
    side_by_side,
)
from tflm.models.recurrent import RecurrentLanguageModel
from tflm.pipelines import Lanes, TokenStore, make_examples

# In so few lanes a recurrent step is mostly overhead, and XLA, which has next
# to none, repays its compilation over so many steps.
_FEW_LANES = 16
_MANY_STEPS = 2**13
# An n-gram model looks targets up: the more at once the better.
_LOOK_UPS = 2**14


class Scorer:
    """Scores texts under one model; one trace for each size of batch.

    Args:
        model: The `LanguageModel`.
    """

    def __init__(self, model: LanguageModel):
        self.model = model
        self._step = tf.function(
            self._score_batch, reduce_retracing=True, autograph=False
        )

    def score(self, lanes: Lanes) -> Score:
        """Reads the lanes to their end and adds up the nats of the targets.

        Args:
            lanes: The split, in the order in which it is read.

        Returns:
            The `Score` of the whole split. Sums are float64.
        """
        nats = self.nats(lanes).sum(dtype=np.float64)
        return Score(float(nats), lanes.store.counts)

    def nats(self, lanes: Lanes) -> np.ndarray:
        """Reads the lanes to their end: what each target costs.

        Args:
            lanes: The split, in the order in which it is read.

        Returns:
            float32 [N]: minus the log-probability of each target, where it
            stands in the text.
        """
        if isinstance(self.model, NGram) and lanes.window is None:
            return self._look_up(lanes.store)
        step = self._fused_step if self._gains(lanes) else self._step
        state = self.model.get_initial_state(lanes.batch_size)
        nats = np.full(len(lanes.store.targets), np.nan, np.float32)
        for (inputs, targets, weights), mask, resets, positions in lanes:
            found, state = step(inputs, targets, mask, resets, state)
            # A masked position's nats are anything, perhaps not a number.
            scored = weights > 0
            nats[positions[scored]] = found.numpy()[scored]
        return nats

    def _look_up(self, store: TokenStore) -> np.ndarray:
        """The nats [N] of all documents in one row: START divides them."""
        state = self.model.get_initial_state(1)
        found = []
        for first in range(0, len(store.targets), _LOOK_UPS):
            last = min(first + _LOOK_UPS, len(store.targets))
            positions = np.arange(first, last)[np.newaxis]  # [1,T]
            inputs, targets, _ = make_examples(
                store.targets,
                store.starts,
                positions,
                np.ones(positions.shape, np.float32),
            )
            nats, state = self._step(
                inputs, targets, None, np.array([False]), state
            )
            found.append(nats.numpy()[0])
        return np.concatenate(found)

    @functools.cached_property
    def _fused_step(self) -> Callable:
        return tf.function(fused(self._score_batch), autograph=False)

    def _gains(self, lanes: Lanes) -> bool:
        """Whether XLA repays its compilation."""
        longest = lanes.segments[0]
        return (
            isinstance(self.model, RecurrentLanguageModel)
            and lanes.batch_size <= _FEW_LANES
            and longest.end - longest.begin >= _MANY_STEPS
        )

    def _score_batch(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        mask: tf.Tensor | None,
        resets: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        state = reset(state, resets)
        rows = inputs, targets, mask, state
        parts = part_count(inputs.shape[0])
        return side_by_side(self.model.nats, parts, *rows)  # [B,T]


def reset(state: State, rows: tf.Tensor) -> State:
    """The state with the rows where `rows`, bool [B], is True at zero."""

    def clear(values: tf.Tensor) -> tf.Tensor:
        ones = tf.ones([tf.rank(values) - 1], tf.int32)
        where = tf.reshape(rows, tf.concat([tf.shape(rows), ones], axis=0))
        return tf.where(where, tf.zeros_like(values), values)

    return {name: clear(values) for name, values in state.items()}
