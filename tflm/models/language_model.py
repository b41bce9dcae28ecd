"""What every model is: ids [B,T] -> logits [B,T,V], with explicit state.

Axes: B batch, T time, V vocabulary.
"""

import abc
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tflm.models.steps import State, Steps


class LanguageModel(keras.Model, abc.ABC):
    """A Keras model that reads tokens and predicts the next one at each.

    Call arguments:
        ids: int [B,T].
        mask: Optional bool [B,T]. A position where it is False changes no
            state, advances no position and gives no gradient; its logits are
            unspecified. Default None: every position counts.
        initial_state: Optional state to continue from, as returned. Default
            None: `get_initial_state`.
        return_state: bool. Default False.

    Returns:
        Logits float32 [B,T,V]; with `return_state`, the pair of them and the
        state, a flat dict of named tensors, batch first, float32 or int32.
        `position` int32 [B] holds the tokens read.
    """

    built: bool
    # The settings of `config.ModelConfig` that the constructor takes.
    settings: ClassVar[tuple[str, ...]]

    def __init__(self, *, vocabulary_size: int, **kwargs: Any):
        # The state holds float32 that no dtype policy may round.
        super().__init__(autocast=False, **kwargs)
        self.vocabulary_size = vocabulary_size
        self.supports_masking = True

    @abc.abstractmethod
    def call(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
        return_state: bool = False,
        training: bool | None = None,
    ) -> tf.Tensor | tuple[tf.Tensor, State]:
        """See the class."""

    @abc.abstractmethod
    def get_initial_state(self, batch_size: int | tf.Tensor) -> State:
        """The state before any token: zeros, for `batch_size` rows.

        Args:
            batch_size: int, or int32 scalar tensor.

        Returns:
            A flat dict of tensors, batch first.
        """

    def steps(self, count: int, **how: bool) -> Steps:
        """What reads texts on token by token, in blocks of `count`.

        Args:
            count: int. Tokens of a block.
            **how: `fixed` and `kernels`, see `Steps`.

        Returns:
            `Steps`, or what takes their place for the model.
        """
        return Steps(self, count, **how)

    def nats(
        self,
        ids: tf.Tensor,
        targets: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
    ) -> tuple[tf.Tensor, State]:
        """Minus the log-probability of each target, and the state after.

        A model that can look a target up without computing all V logits
        overrides this.

        Args:
            ids: int [B,T].
            targets: int [B,T]. What follows each of the ids.
            mask: As in a call. Where it is False the nats are unspecified,
                perhaps not a number.
            initial_state: As in a call.

        Returns:
            Nats float32 [B,T], and the state.
        """
        logits, state = self(
            ids,
            mask=mask,
            initial_state=initial_state,
            return_state=True,
            training=False,
        )  # [B,T,V]
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return nats, state

    def training_nats(
        self,
        ids: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        initial_state: State | None = None,
    ) -> tuple[tf.Tensor, State]:
        """The loss of a batch in training, which is to be made small.

        Args:
            ids: int [B,T].
            targets: int [B,T].
            weights: float32 [B,T].
            initial_state: As in a call.

        Returns:
            float32 scalar, the weighted sum of the targets' nats, and the
            state to go on with; without `initial_state` it need not be whole.
        """
        if initial_state is None:
            initial_state = self.get_initial_state(tf.shape(ids)[0])
        logits, state = self(
            ids, initial_state=initial_state, return_state=True, training=True
        )  # [B,T,V]
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(nats * weights), state

    def compute_mask(self, *unused: Any) -> None:
        """None: a mask is an argument here, it does not travel on tensors."""


def advance(
    position: tf.Tensor, ids: tf.Tensor, mask: tf.Tensor | None
) -> tf.Tensor:
    """The positions [B] after the ids [B,T] whose mask is not False."""
    if mask is None:
        return position + tf.shape(ids)[1]
    return position + tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
