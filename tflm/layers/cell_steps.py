"""A recurrent cell's steps outside of training, which any graph can hold.

Axes: B batch, T time, D width of the inputs, U units, G the gates' units.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from tflm.layers import gate_products
from tflm.layers.cells import Cell, Tensors, float32, two_biases, where
from tflm.layers.fused import fused


def scan(
    cell: Cell,
    inputs: tf.Tensor,
    states: Tensors,
    weights: Tensors,
    dtype: tf.DType,
    mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, Tensors]:
    """Runs a cell over time, as `scans.scan` does in training; see there.

    Args:
        cell: `cells.SIMPLE_RNN`, `cells.GRU` or `cells.LSTM`.
        inputs: float [B,T,D].
        states: float32 [B,U] each.
        weights: Kernel [D,G], recurrent kernel [U,G], and the bias.
        dtype: Of the products.
        mask: Optional bool [B,T]. Default None: every position counts.

    Returns:
        The outputs [B,T,U] in `dtype` and the states after the last step.
    """
    if inputs.shape[1] == 1:
        return _one_step(cell, inputs, states, weights, dtype, mask)
    kernel, recurrent, bias = weights
    units = recurrent.shape[0]
    recurrent, biases = for_steps(cell, recurrent, bias, dtype)
    length = tf.shape(inputs)[1]
    steps = tf.transpose(tf.cast(inputs, dtype), [1, 2, 0])  # [T,D,B]
    inputs = gate_products.projected(tf.cast(kernel, dtype), steps)  # [T,G,B]
    projected = tf.TensorArray(dtype, length).unstack(inputs)
    if mask is not None:
        mask = tf.transpose(mask)[:, tf.newaxis]  # [T,1,B]

    def step(
        time: tf.Tensor, states: Tensors, outputs: tf.TensorArray
    ) -> tuple:
        there = None if mask is None else mask[time]
        states = advance(
            cell, projected.read(time), recurrent, biases, states, there
        )
        outputs = outputs.write(time, tf.cast(states[0], dtype))
        return time + 1, states, outputs

    _, states, outputs = tf.while_loop(
        lambda time, *_: time < length,
        step,
        (
            tf.constant(0),
            tuple(tf.transpose(state) for state in states),  # [U,B]
            tf.TensorArray(dtype, length, element_shape=[units, None]),
        ),
        maximum_iterations=length,  # XLA needs a bound for the gradient
    )
    outputs = tf.transpose(outputs.stack(), [2, 0, 1])  # [B,T,U]
    return outputs, tuple(tf.transpose(state) for state in states)


def advance(
    cell: Cell,
    inputs: tf.Tensor,
    recurrent: tf.Tensor,
    biases: tf.Tensor,
    states: Tensors,
    there: tf.Tensor | None = None,
    kernels: bool = False,
) -> Tensors:
    """One step outside of training, on states that lie transposed.

    Args:
        cell: `cells.SIMPLE_RNN`, `cells.GRU` or `cells.LSTM`.
        inputs: float [G,B], projected, without a bias.
        recurrent: float [G,U], see `for_steps`.
        biases: float32 [2,G,1], of inputs and of state, see `for_steps`.
        states: float32 [U,B] each.
        there: Optional bool [1,B]. Where it is False, the states stay as they
            are. Default None: all go on.
        kernels: bool. Whether all but the product is one kernel made by XLA,
            where that works. Default False.

    Returns:
        The states after the step.
    """
    product = tf.matmul(recurrent, tf.cast(states[0], recurrent.dtype))  # [G,B]
    element_wise = _element_wise(cell, kernels)
    return element_wise(inputs, product, biases, there, *states)


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


def _one_step(
    cell: Cell,
    inputs: tf.Tensor,
    states: Tensors,
    weights: Tensors,
    dtype: tf.DType,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, Tensors]:
    """`scan` of a single position: no loop, and kernels as they lie.

    To transpose them would take longer than the step.
    """
    kernel, recurrent, bias = weights
    hidden = tf.cast(states[0], dtype)
    projected = tf.matmul(tf.cast(inputs[:, 0], dtype), tf.cast(kernel, dtype))
    product = tf.matmul(hidden, tf.cast(recurrent, dtype))  # [B,G]
    bias = two_biases(float32(bias))  # [2,G]
    product = float32(product) + bias[1]
    if cell.turned:
        z, r, c = tf.split(product, 3, axis=1)
        product = tf.concat([c, z, r], axis=1)
    after, _ = cell.forward(
        float32(projected) + bias[0], product, *states, axis=1
    )
    states = where(mask, after, states)
    return tf.cast(states[0], dtype)[:, tf.newaxis], states


@functools.cache
def _element_wise(cell: Cell, kernels: bool) -> Callable[..., Tensors]:
    """All of a step but the product; as a kernel, one for all layers."""

    def element_wise(
        inputs: tf.Tensor,
        state: tf.Tensor,
        biases: tf.Tensor,
        there: tf.Tensor | None,
        *states: tf.Tensor,
    ) -> Tensors:
        inputs = float32(inputs) + biases[0]
        after, _ = cell.forward(inputs, float32(state) + biases[1], *states)
        return where(there, after, states)

    return fused(element_wise) if kernels else element_wise
