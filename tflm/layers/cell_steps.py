"""A recurrent cell's step outside of training, for a loop over tokens.

Axes: B batch, U units, G the gates' units.
"""

import tensorflow as tf

from tflm.layers.cells import Cell, Tensors, float32, two_biases, where
from tflm.layers.fused import fused


def advance(
    cell: Cell,
    inputs: tf.Tensor,
    recurrent: tf.Tensor,
    biases: tf.Tensor,
    states: Tensors,
    there: tf.Tensor,
    kernels: bool = False,
) -> Tensors:
    """One step outside of training, on states that lie transposed.

    Args:
        cell: `cells.SIMPLE_RNN`, `cells.GRU` or `cells.LSTM`.
        inputs: float [B,G], projected, without a bias.
        recurrent: float [G,U], see `for_steps`.
        biases: float32 [2,G,1], of inputs and of state, see `for_steps`.
        states: float32 [U,B] each.
        there: bool [1,B]. Where it is False, the states stay as they are.
        kernels: bool. Whether all but the product is one kernel made by XLA,
            where that works. Default False.

    Returns:
        The states after the step.
    """

    def element_wise(
        inputs: tf.Tensor,
        state: tf.Tensor,
        biases: tf.Tensor,
        there: tf.Tensor,
        *states: tf.Tensor,
    ) -> Tensors:
        inputs = float32(tf.transpose(inputs)) + biases[0]
        after, _ = cell.forward(inputs, float32(state) + biases[1], *states)
        return where(there, after, states)

    product = tf.matmul(recurrent, tf.cast(states[0], recurrent.dtype))  # [G,B]
    run = fused(element_wise) if kernels else element_wise
    return run(inputs, product, biases, there, *states)


def for_steps(
    cell: Cell, recurrent: tf.Tensor, bias: tf.Tensor, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor]:
    """A recurrent kernel [U,G] and a bias, as Keras keeps them, for `advance`.

    Returns:
        The kernel transposed, [G,U] in `dtype`, and the biases, float32
        [2,G,1].
    """
    units = recurrent.shape[0]
    bias = two_biases(float32(bias))  # [2,G]
    recurrent = tf.transpose(tf.cast(recurrent, dtype))  # [G,U]
    if cell.turned:
        recurrent = tf.roll(recurrent, units, axis=0)
        bias = tf.stack([bias[0], tf.roll(bias[1], units, axis=0)])
    return recurrent, bias[:, :, tf.newaxis]
