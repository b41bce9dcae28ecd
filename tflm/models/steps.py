"""Reading token by token, inside of a loop in a graph.

Axes: B batch, V vocabulary.
"""

from typing import Any

import tensorflow as tf

State = dict[str, tf.Tensor]


class Steps:
    """Reads texts on, one token of each at a time, as loops in graphs do.

    Between the tokens the state has a form of its own, which is the model's
    here: a model that is faster with another one overrides this. Tokens are
    read in blocks, behind each of which the state is put in order.

    Args:
        model: The `LanguageModel`.
        count: int. Tokens of a block.
        fixed: bool. Whether shapes may depend on nothing but on shapes, as
            XLA wants it. Default False.
        kernels: bool. Whether parts of a step may be kernels made by XLA,
            which no export can hold. Default False.

    Example:
    >>> from tflm.models import GRU
    >>> steps = GRU(vocabulary_size=10, units=8).steps(count=4)
    >>> weights, state = steps.weights(), steps.begin(
    ...     steps.model.get_initial_state(2)
    ... )
    >>> ids, there = tf.constant([3, 5]), tf.constant([True, True])
    >>> logits, state = steps.read(weights, ids, there, state)
    >>> logits.shape, state["position"].numpy()
    (TensorShape([2, 10]), array([1, 1], dtype=int32))

    Attributes:
        in_parts: Whether cores that take parts of many rows are faster than
            cores that take parts of each operation, even where these do not
            have one thread each.
    """

    in_parts = False

    def __init__(
        self,
        model: Any,
        count: int,
        fixed: bool = False,
        kernels: bool = False,
    ):
        self.model = model
        self.count = count
        self.fixed = fixed
        self.kernels = kernels

    def weights(self) -> tuple[tf.Tensor, ...]:
        """What can be done with the weights once for a whole text."""
        return ()

    def begin(self, state: State) -> State:
        """The model's state in this form; `position` int32[B] stays in it."""
        return state

    def read(
        self,
        weights: tuple[tf.Tensor, ...],
        ids: tf.Tensor,
        mask: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        """Reads one token of each text.

        Args:
            weights: What `weights` gave.
            ids: int32 [B].
            mask: bool [B]. A row where it is False has ended: it is not read
                again, and its logits are unspecified.
            state: In this form.

        Returns:
            Logits float32 [B,V] of what follows, and the state.
        """
        logits, after = self.model(
            ids[:, tf.newaxis],
            mask=mask[:, tf.newaxis],
            initial_state=state,
            return_state=True,
            training=False,
        )
        return logits[:, 0], after

    def turn(self, state: State) -> State:
        """The state before the next block, when one is full."""
        return state
