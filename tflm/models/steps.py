"""Reading token by token, inside of a loop in a graph.

Axes: B batch, V vocabulary.
"""

from typing import Any

import tensorflow as tf

State = dict[str, tf.Tensor]


class Steps:
    """Reads the next tokens of texts, one of each text at a time.

    What a call of the model gives, from a state in a form of its own, which a
    loop can carry. A model that is faster with another form than that of its
    state overrides this, see `LanguageModel.steps`.

    Args:
        model: The `LanguageModel`.
        state: The model's state before the next tokens.

    Attributes:
        first: The state to begin with, tensors by name. `position` int32[B]
            is among them.

    Example:
    >>> from tflm.models import GRU
    >>> model = GRU(vocabulary_size=10, units=8)
    >>> steps = model.steps(model.get_initial_state(2), count=4)
    >>> ids, there = tf.constant([3, 5]), tf.constant([True, True])
    >>> logits, state = steps.read(ids, there, steps.first)
    >>> logits.shape, sorted(steps.last(state))
    (TensorShape([2, 10]), ['layer_0_hidden', 'position'])
    """

    def __init__(self, model: Any, state: State):
        self.model = model
        self.first = state

    def read(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Reads ids [B] where `mask`, bool [B]; logits float32[B,V] of more.

        A row that is not read keeps its state, and is not read any more.
        """
        logits, after = self.model(
            ids[:, tf.newaxis],
            mask=mask[:, tf.newaxis],
            initial_state=state,
            return_state=True,
            training=False,
        )
        return logits[:, 0], after

    def last(self, state: State) -> State:
        """The model's state after the tokens that have been read."""
        return state
