"""Recurrent scans with gradients of their own, for training on a CPU.

TensorFlow's gradient of a loop adds up a full weight gradient at every step.
Here the loops hold what is sequential and nothing else: the inputs of all
steps are projected before, and the weights' gradients are one product a gate
over all steps after. States lie transposed, [U,B], which makes the product
inside of the loop nearly twice as fast, and the element-wise part of a step is
one fused kernel where XLA can make it.

Axes: B batch, T time, D width of the inputs, U units, G the gates' units.
"""

import functools
from collections.abc import Callable
from typing import Any

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
    input_dropout: tf.Tensor | None = None,
    state_dropout: tf.Tensor | None = None,
) -> tuple[tf.Tensor, Tensors]:
    """Runs a cell over time.

    Args:
        cell: `cells.SIMPLE_RNN`, `cells.GRU` or `cells.LSTM`.
        inputs: float [B,T,D]; or int ids [B,T], each of which stands for a
            row of the kernel, as if the inputs were one-hot and D the number
            of ids.
        states: float32 [B,U] each.
        weights: Kernel [D,G], recurrent kernel [U,G], bias [G] or, of inputs
            and of state apart, [2,G], as Keras keeps them. Their gradients
            have their dtypes.
        dtype: Of the products. State and gates are float32 in any case.
        mask: Optional bool [B,T]. Where it is False the states stay as they
            were, the output is that of the step before (at first the state
            itself), and no gradient flows into the step.
        input_dropout: Optional float32 [gates,B,D], what the inputs of each
            gate are multiplied by, at all steps.
        state_dropout: Optional float32 [gates,B,U], likewise of the state
            that comes back into each gate.

    Returns:
        The outputs [B,T,U] in `dtype` and the states after the last step.
    """
    there = None
    if mask is not None:
        there = tf.transpose(mask)[:, tf.newaxis]  # [T,1,B]
    units = weights[1].shape[0]
    if input_dropout is not None:
        input_dropout = tf.transpose(input_dropout, [0, 2, 1])  # [gates,D,B]
    if state_dropout is not None:
        state_dropout = tf.transpose(state_dropout, [0, 2, 1])  # [gates,U,B]
        if cell.turned:
            state_dropout = tf.roll(state_dropout, 1, axis=0)

    def turned(values: tf.Tensor) -> tf.Tensor:
        return tf.roll(values, units, axis=-1) if cell.turned else values

    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> tuple[Tensors, Callable]:
        inputs, kernel, recurrent, bias, *states = tensors
        biases = bias[0], turned(bias[1])  # [G] each
        steps = _steps(inputs, kernel.shape[0], dtype)  # [T,D,B]
        rounded = tf.cast(kernel, dtype)  # [D,G]
        projected = gate_products.projected(
            rounded, steps, input_dropout
        )  # [T,G,B]
        turned_recurrent = turned(tf.cast(recurrent, dtype))  # [U,G]
        first = tuple(tf.transpose(state) for state in states)  # [U,B]
        last, hidden, kept = _forward(
            cell,
            projected,
            turned_recurrent,
            biases,
            first,
            there,
            state_dropout,
        )
        outputs = tf.transpose(hidden[1:], [2, 0, 1])  # [B,T,U]

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> Tensors:
            arrays, d_first = _backward(
                cell,
                turned_recurrent,
                kept,
                hidden,
                tf.transpose(tf.cast(d_outputs, dtype), [1, 2, 0]),
                tuple(tf.transpose(d) for d in d_last),
                there,
                state_dropout,
            )
            d_kernel, d_recurrent, d_biases, d_steps = gate_products.gradients(
                cell,
                arrays,
                hidden[:-1],
                steps,
                None if inputs.dtype.is_integer else rounded,
                state_dropout,
                input_dropout,
            )
            return (
                None if d_steps is None else tf.cast(d_steps, inputs.dtype),
                tf.cast(d_kernel, kernel.dtype),
                tf.cast(d_recurrent, recurrent.dtype),
                d_biases,
                *(tf.transpose(d) for d in d_first),
            )

        return (outputs, *(tf.transpose(state) for state in last)), gradient

    kernel, recurrent, bias = weights
    # Keras hands variables over rounded where a layer is called by itself.
    bias = two_biases(float32(bias))
    outputs, *last = run(inputs, kernel, recurrent, bias, *states)
    return outputs, tuple(last)


def _steps(inputs: tf.Tensor, width: int, dtype: tf.DType) -> tf.Tensor:
    """The inputs in the order of steps, [T,D,B]."""
    if inputs.dtype.is_integer:
        # `tf.one_hot` would have no word against an id that is none.
        inputs = tf.gather(tf.eye(width, dtype=dtype), inputs)
    return tf.transpose(tf.cast(inputs, dtype), [1, 2, 0])


def _forward(
    cell: Cell,
    projected: tf.Tensor,
    recurrent: tf.Tensor,
    biases: Tensors,
    states: Tensors,
    mask: tf.Tensor | None,
    dropout: tf.Tensor | None,
) -> tuple[Tensors, tf.Tensor, tf.TensorArray]:
    """The last states, hidden before and after [T+1,U,B], for backward."""
    dtype = projected.dtype
    length = tf.shape(projected)[0]
    transposed = tf.transpose(recurrent)  # [G,U]

    element_wise = _forward_kernel(cell, dtype)

    def step(
        time: tf.Tensor, states: Tensors, hidden: tf.Tensor, *arrays: Any
    ) -> tuple:
        product = gate_products.product(transposed, hidden, dropout)  # [G,B]
        there = None if mask is None else mask[time]
        states, hidden, kept = element_wise(
            projected[time], product, biases, there, *states
        )
        outputs, keeps = arrays
        outputs = outputs.write(time + 1, hidden)
        return time + 1, states, hidden, outputs, keeps.write(time, kept)

    first = tf.cast(states[0], dtype)
    outputs = tf.TensorArray(dtype, length + 1).write(0, first)
    keeps = tf.TensorArray(dtype, length, clear_after_read=False)
    _, states, _, outputs, keeps = tf.while_loop(
        lambda time, *_: time < length,
        step,
        (tf.constant(0), states, first, outputs, keeps),
    )
    return states, outputs.stack(), keeps


def _backward(
    cell: Cell,
    recurrent: tf.Tensor,
    kept: tf.TensorArray,
    hidden: tf.Tensor,
    d_outputs: tf.Tensor,
    d_states: Tensors,
    mask: tf.Tensor | None,
    dropout: tf.Tensor | None,
) -> tuple[tuple[tf.TensorArray, ...], Tensors]:
    """The gradients of each gate at all steps, [U,B], and the first states'."""
    dtype = recurrent.dtype
    length = tf.shape(d_outputs)[0]
    units, size = recurrent.shape
    # A product for each gate, added up in the kernel: long rows of a power of
    # two bytes share cache lines, and one product takes a third longer.
    recurrent = tf.stack(tf.split(recurrent, size // units, axis=1))

    element_wise = _backward_kernel(cell, dtype, size // units)

    def step(
        time: tf.Tensor, d_states: Tensors, product: tf.Tensor, arrays: Any
    ) -> tuple:
        there = None if mask is None else mask[time]
        of_state, gates, d_states = element_wise(
            kept.read(time),
            hidden[time],
            d_outputs[time],
            product,
            there,
            dropout,
            *d_states,
        )
        product = tf.matmul(recurrent, of_state)  # [gates,U,B]
        arrays = tuple(
            array.write(time, gate)
            for array, gate in zip(arrays, gates, strict=True)
        )
        return time - 1, d_states, product, arrays

    nothing = tf.zeros_like(d_states[0])[tf.newaxis]
    nothing = tf.repeat(tf.cast(nothing, dtype), size // units, axis=0)
    _, (d_hidden, *d_others), product, arrays = tf.while_loop(
        lambda time, *_: time >= 0,
        step,
        (
            length - 1,
            d_states,
            nothing,
            tuple(tf.TensorArray(dtype, length) for _ in range(cell.gates)),
        ),
    )
    d_hidden += _of_product(product, dropout)
    return arrays, (d_hidden, *d_others)


# Each trace of a kernel is a compilation: layers, parts of the rows and calls
# share theirs.
@functools.cache
def _forward_kernel(cell: Cell, dtype: tf.DType) -> Callable:
    """The element-wise part of a step."""

    @fused
    def element_wise(
        inputs: tf.Tensor,
        state: tf.Tensor,
        biases: Tensors,
        there: tf.Tensor | None,
        *states: tf.Tensor,
    ) -> tuple[Tensors, tf.Tensor, tf.Tensor]:
        inputs, state = (
            float32(part) + bias[:, tf.newaxis]
            for part, bias in zip((inputs, state), biases, strict=True)
        )
        after, kept = cell.forward(inputs, state, *states)
        after = where(there, after, states)
        return after, tf.cast(after[0], dtype), tf.cast(kept, dtype)

    return element_wise


@functools.cache
def _backward_kernel(cell: Cell, dtype: tf.DType, of_state: int) -> Callable:
    """The element-wise part of a step back; `of_state` gates see the state."""

    @fused
    def element_wise(
        kept: tf.Tensor,
        before: tf.Tensor,
        d_output: tf.Tensor,
        product: tf.Tensor,
        there: tf.Tensor | None,
        dropout: tf.Tensor | None,
        d_hidden: tf.Tensor,
        *d_others: tf.Tensor,
    ) -> tuple[tf.Tensor, Tensors, Tensors]:
        d_hidden += float32(d_output) + _of_product(product, dropout)
        gates, d_states = cell.backward(
            float32(kept), float32(before), d_hidden, *d_others
        )
        d_states = where(there, d_states, (d_hidden, *d_others))
        gates = where(there, gates, tuple(tf.zeros_like(g) for g in gates))
        gates = tuple(tf.cast(gate, dtype) for gate in gates)
        return tf.stack(gates[:of_state]), gates, d_states

    return element_wise


def _of_product(product: tf.Tensor, dropout: tf.Tensor | None) -> tf.Tensor:
    """The hidden state's gradient [U,B], of each gate's product [gates,U,B]."""
    by_gate = float32(product)
    if dropout is not None:
        by_gate *= dropout
    # Added up one by one: a sum in a kernel must be of one part of the rows.
    return tf.add_n(tf.unstack(by_gate))
