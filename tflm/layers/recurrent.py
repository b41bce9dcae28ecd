"""Keras's recurrent layers, faster on a CPU in training and in 16 bits.

Axes: B batch, T time, D width of the inputs, U units, V vocabulary.
"""

import functools
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tflm.layers import cell_steps, cells, scans


class Scanned(keras.layers.RNN):
    """What takes the place of a stock layer's loop.

    In training on a CPU the loop is `scans.scan`, with Keras's values and
    gradients, outside of training in 16 bits `cell_steps.scan`, whose states
    are float32 as in training. Keras's own loop, on a GPU cuDNN's, is taken
    everywhere else, and where a layer is not the usual one: other activations,
    a GRU with `reset_after=False`, `go_backwards`, `unroll`, float64.

    There are no gradients of gradients in bfloat16 with AMX.
    """

    # The cell as `cells` has it, and the names of its states.
    scan_cell: ClassVar[cells.Cell]
    state_names: ClassVar[tuple[str, ...]]

    def inner_loop(
        self,
        sequences: tf.Tensor,
        initial_state: Any,
        mask: tf.Tensor | None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        states = tuple(tf.nest.flatten(initial_state))
        if not self.is_scanned(training):
            return super().inner_loop(sequences, list(states), mask, training)
        [mask] = tf.nest.flatten(mask)
        if mask is not None:  # Keras takes numbers, and [B,T,1]
            mask = tf.reshape(tf.cast(mask, tf.bool), tf.shape(sequences)[:2])
        sequences = tf.cast(sequences, self.compute_dtype)
        dropout: list[tf.Tensor | None] = []
        if training:
            sequences, *dropout = self._thinned(sequences, states[0])
        outputs, states = self.scanned(
            sequences, states, mask, *dropout, training=training
        )
        if mask is not None:
            # Keras shows zeros before the first step that counts.
            shown = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0  # [B,T]
            if self.zero_output_for_mask:
                shown = mask
            zeros = tf.zeros_like(outputs)
            outputs = tf.where(shown[:, :, tf.newaxis], outputs, zeros)
        return outputs[:, -1], outputs, list(states)

    def is_scanned(self, training: bool | None) -> bool:
        """Whether the loop is one of ours."""
        cell = self.cell
        usual = cell.activation is keras.activations.tanh
        usual &= max(cell.dropout, cell.recurrent_dropout) < 1
        usual &= getattr(cell, "reset_after", True)
        if hasattr(cell, "recurrent_activation"):
            usual &= cell.recurrent_activation is keras.activations.sigmoid
        in_order = not (self.go_backwards or self.unroll)
        size = tf.as_dtype(self.compute_dtype).size
        faster = size == 2 or (training and size == 4)
        return bool(usual and in_order and faster and not _has_gpu())

    def scanned(
        self,
        inputs: tf.Tensor,
        states: tuple[tf.Tensor, ...],
        mask: tf.Tensor | None = None,
        input_dropout: tf.Tensor | None = None,
        state_dropout: tf.Tensor | None = None,
        *,
        table: tf.Tensor | None = None,
        training: bool | None = True,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Outputs [B,T,U] and last states, float32 [B,U], see `scans.scan`.

        Dropout is for training alone. With a table [V,D] the inputs are ids
        [B,T] of its rows. What these are for the gates is worked out once for
        each row, not for each position.
        """
        dtype = tf.as_dtype(self.compute_dtype)
        kernel, *others = self.tensors()
        if table is not None:
            kernel = tf.matmul(tf.cast(table, dtype), tf.cast(kernel, dtype))
        states = tuple(tf.cast(state, tf.float32) for state in states)
        weights = (kernel, *others)
        given = self.scan_cell, inputs, states, weights, dtype, mask
        if training:
            return scans.scan(*given, input_dropout, state_dropout)
        return cell_steps.scan(*given)

    def tensors(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Kernel, recurrent kernel and bias; zeros where there is no bias."""
        kernel, recurrent = self.cell.kernel, self.cell.recurrent_kernel
        bias = self.cell.bias if self.use_bias else tf.zeros(kernel.shape[1:])
        kernel, recurrent, bias = (
            tf.convert_to_tensor(w) for w in (kernel, recurrent, bias)
        )
        return kernel, recurrent, bias

    def _thinned(
        self, sequences: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        """The inputs, and Keras's masks of them and of the state by gate.

        Where there is one mask of the inputs, it is for all gates: they are
        multiplied by it here.
        """
        of_inputs = self.cell.get_dropout_mask(sequences[:, 0])
        of_state = self.cell.get_recurrent_dropout_mask(state)
        if tf.is_tensor(of_inputs):
            sequences *= of_inputs[:, tf.newaxis]  # [B,1,D]
            of_inputs = None
        return sequences, _by_gate(of_inputs), _by_gate(of_state)


# Their package tells them from the models of the same names.
@keras.saving.register_keras_serializable(package="tflm.layers")
class SimpleRNN(Scanned, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN`, `h = tanh(x K + h R + b)`, faster in training.

    Arguments, weights and results are Keras's; see `Scanned`.

    Reference: Elman, "Finding structure in time", Cognitive Science 14, 1990.

    Example:
    >>> layer = SimpleRNN(4, return_sequences=True)
    >>> layer(tf.ones([2, 3, 5])).shape
    TensorShape([2, 3, 4])
    """

    scan_cell = cells.SIMPLE_RNN
    state_names = ("hidden",)


@keras.saving.register_keras_serializable(package="tflm.layers")
class GRU(Scanned, keras.layers.GRU):
    """`keras.layers.GRU`, its reset gate after the product, faster in training.

    `z = s(x Kz + h Rz + bz)`, `r = s(x Kr + h Rr + br)`,
    `c = tanh(x Kc + bc + r (h Rc + dc))`, `h = z h + (1 - z) c`.

    Arguments, weights and results are Keras's; see `Scanned`.

    Reference: Cho et al., 2014, https://arxiv.org/abs/1406.1078 (version 1).

    Example:
    >>> layer = GRU(4, return_state=True)
    >>> outputs, state = layer(tf.ones([2, 3, 5]))
    >>> outputs.shape, state.shape
    (TensorShape([2, 4]), TensorShape([2, 4]))
    """

    scan_cell = cells.GRU
    state_names = ("hidden",)


@keras.saving.register_keras_serializable(package="tflm.layers")
class LSTM(Scanned, keras.layers.LSTM):
    """`keras.layers.LSTM`, faster in training.

    `i, f, o = s(x K + h R + b)`, `g = tanh(x Kg + h Rg + bg)`,
    `c = f c + i g`, `h = o tanh(c)`; the forget gate's bias starts at one.

    Arguments, weights and results are Keras's; see `Scanned`.

    Reference: Hochreiter and Schmidhuber, Neural Computation 9, 1997.

    Example:
    >>> layer = LSTM(4, dropout=0.5)
    >>> layer(tf.ones([2, 3, 5]), training=True).shape
    TensorShape([2, 4])
    """

    scan_cell = cells.LSTM
    state_names = ("hidden", "cell")


def _by_gate(masks: Any) -> tf.Tensor | None:
    """Keras's masks, of each gate or of all: float32 [gates,B,.]."""
    if masks is None:
        return None
    return tf.cast(tf.stack(tf.nest.flatten(masks)), tf.float32)


@functools.cache
def _has_gpu() -> bool:
    """There, Keras's cuDNN path is the fast one."""
    return bool(tf.config.list_physical_devices("GPU"))
