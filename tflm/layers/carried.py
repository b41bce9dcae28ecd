"""A recurrent layer that takes its state and gives it back.

Axes: B batch, T time, D width of the inputs, U units, V vocabulary.
"""

from typing import Any

import keras
import tensorflow as tf

from tflm.layers.recurrent import Scanned


@keras.saving.register_keras_serializable(package="tflm.layers")
class Carried(keras.layers.Layer):
    """A recurrent layer whose state is an argument and a result, in float32.

    Keras's layers round the state to the dtype that they compute in; here a
    text read in pieces loses nothing at their borders.

    Args:
        scan: A `SimpleRNN`, `GRU` or `LSTM` of this package, with
            `return_sequences` and `return_state`, and without dropout.
        **kwargs: Keras's own layer arguments (`name`, `dtype`).

    Raises:
        ValueError: If the scan is another.

    Call arguments:
        inputs: float [B,T,D]; with a `table`, int ids [B,T] of its rows.
        initial_state: Tuple of float32 [B,U], one for each of `state_names`.
        mask: Optional bool [B,T]. Default None: every position counts.
        training: Optional bool. Decides the way of computing, not the result.
        table: Optional float [V,D]. Training is the faster for it where V is
            below D. Default None.

    Returns:
        A pair: outputs float [B,T,U] in the compute dtype, and the state
        after the last position, as `initial_state`.

    Example:
    >>> from tflm.layers import GRU
    >>> layer = Carried(GRU(4, return_sequences=True, return_state=True))
    >>> outputs, (hidden,) = layer(tf.ones([2, 3, 5]), (tf.zeros([2, 4]),))
    >>> outputs.shape, hidden.shape
    (TensorShape([2, 3, 4]), TensorShape([2, 4]))
    """

    def __init__(self, scan: Scanned, **kwargs: Any):
        if not (scan.return_sequences and scan.return_state):
            raise ValueError(
                "`scan` must be made with return_sequences=True and "
                "return_state=True. Received: return_sequences="
                f"{scan.return_sequences}, return_state={scan.return_state}"
            )
        if scan.go_backwards or scan.stateful:
            raise ValueError(
                "`scan` must go forwards, its state not be its own. Received: "
                f"go_backwards={scan.go_backwards}, stateful={scan.stateful}"
            )
        if scan.dropout or scan.recurrent_dropout:
            raise ValueError(
                "`scan` must have no dropout: use a Dropout layer before it. "
                f"Received: dropout={scan.dropout}, recurrent_dropout="
                f"{scan.recurrent_dropout}"
            )
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        # Layers
        self.scan = scan

    @property
    def state_names(self) -> tuple[str, ...]:
        """What the parts of the state are called."""
        return self.scan.state_names

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.scan.build(input_shape)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        initial_state: tuple[tf.Tensor, ...],
        mask: tf.Tensor | None = None,
        training: bool | None = None,
        table: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        # Forward graph
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
        scanned = self.scan.is_scanned(training)
        if scanned and training:
            return self.scan.scanned(inputs, initial_state, mask, table=table)
        if table is not None:
            inputs = tf.gather(table, inputs)
        inputs = tf.cast(inputs, self.compute_dtype)  # [B,T,D]
        if scanned:
            return self.scan.scanned(
                inputs, initial_state, mask, training=False
            )
        state = [tf.cast(s, self.compute_dtype) for s in initial_state]
        if inputs.shape[1] == 1:
            outputs, state = self._one_step(inputs, state, mask)
        else:
            if hasattr(self.scan, "use_cudnn"):
                # cuDNN takes masks that pad on the right only.
                self.scan.use_cudnn = "auto" if mask is None else False
            outputs, *state = self.scan(inputs, initial_state=state, mask=mask)
        return outputs, tuple(tf.cast(s, tf.float32) for s in state)

    def _one_step(
        self, inputs: tf.Tensor, state: list[tf.Tensor], mask: tf.Tensor | None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The cell alone: generation needs no loop for a single position."""
        _, stepped = self.scan.cell(inputs[:, 0], state)  # [B,U]
        if mask is not None:
            stepped = [
                tf.where(mask, new, old)
                for new, old in zip(stepped, state, strict=True)
            ]
        # The first state is the output, and gives no gradient where masked.
        return stepped[0][:, tf.newaxis], stepped  # [B,1,U]

    def compute_mask(self, *unused: Any) -> None:
        """None: a mask is an argument here, it does not travel on tensors."""

    def get_config(self) -> dict[str, Any]:
        # Config
        scan = keras.saving.serialize_keras_object(self.scan)
        return {**super().get_config(), "scan": scan}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Carried":
        options = dict(config)
        scan = keras.saving.deserialize_keras_object(options.pop("scan"))
        return cls(scan, **options)


# A saved model names the entries of a list by their class: with these names
# models of every age have the same file.
@keras.saving.register_keras_serializable(package="tflm.carried")
class SimpleRNN(Carried):
    """`tflm.layers.SimpleRNN` with its state; see `Carried`."""


@keras.saving.register_keras_serializable(package="tflm.carried")
class GRU(Carried):
    """`tflm.layers.GRU` with its state; see `Carried`."""


@keras.saving.register_keras_serializable(package="tflm.carried")
class LSTM(Carried):
    """`tflm.layers.LSTM` with its state; see `Carried`."""
