"""Recurrent layers with their state as argument and result.

Axes: B batch, T time, D width of the inputs, U units.
"""

import functools
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tflm.layers import scans


class Recurrent(keras.layers.Layer):
    """A recurrent layer that takes its state and gives it back.

    Its weights are those of Keras's layer, and so is its arithmetic, except
    in training on a CPU, where `scans` does the same several times faster.
    The state is float32 under every dtype policy. Where `mask` is False the
    state stays as it was, and no gradient flows from that position.

    Args:
        units: int. Width of the state and of the outputs, U.
        **kwargs: Keras's own layer arguments (`name`, `dtype`).

    Call arguments:
        inputs: float [B,T,D].
        initial_state: Tuple of float32 [B,U], one for each of `state_names`.
        mask: Optional bool [B,T]. Default None: every position counts.
        training: Optional bool. Decides the way of computing, not the result.

    Returns:
        A pair: outputs float [B,T,U] in the compute dtype, and the state
        after the last position, as `initial_state`.
    """

    # Keras's layer, its cell as `scans` has it, the names of its states.
    stock: ClassVar[type[keras.layers.Layer]]
    cell: ClassVar[scans.Cell]
    state_names: ClassVar[tuple[str, ...]]

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.units = units
        self.supports_masking = True
        # Layers
        self.scan = self.stock(
            units,
            return_sequences=True,
            return_state=True,
            dtype=self.dtype_policy,
            name="scan",
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.scan.build(input_shape)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        initial_state: tuple[tf.Tensor, ...],
        mask: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        # Forward graph
        inputs = tf.cast(inputs, self.compute_dtype)  # [B,T,D]
        if training and mask is None and not _has_gpu():
            weights = tuple(tf.convert_to_tensor(w) for w in self.scan.weights)
            dtype = tf.as_dtype(self.compute_dtype)
            return scans.scan(self.cell, inputs, initial_state, weights, dtype)
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
        return {**super().get_config(), "units": self.units}


# Their package tells them from the models of the same names.
@keras.saving.register_keras_serializable(package="tflm.layers")
class SimpleRNN(Recurrent):
    """Elman's network: `h = tanh(x K + h R + b)`; see `Recurrent`.

    Reference: Elman, "Finding structure in time", Cognitive Science 14, 1990.
    """

    stock = keras.layers.SimpleRNN
    cell = scans.SIMPLE_RNN
    state_names = ("hidden",)


@keras.saving.register_keras_serializable(package="tflm.layers")
class GRU(Recurrent):
    """Gated recurrent unit, its reset gate after the product; see `Recurrent`.

    `z = s(x Kz + h Rz + bz)`, `r = s(x Kr + h Rr + br)`,
    `c = tanh(x Kc + bc + r (h Rc + dc))`, `h = z h + (1 - z) c`.

    Reference: Cho et al., 2014, https://arxiv.org/abs/1406.1078 (version 1).
    """

    stock = keras.layers.GRU
    cell = scans.GRU
    state_names = ("hidden",)


@keras.saving.register_keras_serializable(package="tflm.layers")
class LSTM(Recurrent):
    """Long short-term memory; see `Recurrent`.

    `i, f, o = s(x K + h R + b)`, `g = tanh(x Kg + h Rg + bg)`,
    `c = f c + i g`, `h = o tanh(c)`; the forget gate's bias starts at one.

    Reference: Hochreiter and Schmidhuber, Neural Computation 9, 1997.
    """

    stock = keras.layers.LSTM
    cell = scans.LSTM
    state_names = ("hidden", "cell")


@functools.cache
def _has_gpu() -> bool:
    """There, Keras's cuDNN path is the fast one."""
    return bool(tf.config.list_physical_devices("GPU"))
