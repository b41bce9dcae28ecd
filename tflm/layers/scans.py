"""Recurrent scans with gradients of their own, for training on a CPU.

TensorFlow's gradient of a loop adds up a full weight gradient at every step.
Here the loops hold what is sequential and nothing else: the inputs of all
steps are projected before, and the weights' gradients are one product a gate
over all steps after. States lie transposed, [U,B], which makes the product
inside of the loop nearly twice as fast.

Axes: B batch, T time, D width of the inputs, U units, G the gates' units.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm.layers import gate_products, products, scan_steps
from tflm.layers.cells import Cell, Tensors, float32, two_biases
from tflm.layers.fused import fused_apart


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
    by_xla = products.are_faster(dtype)
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
            scan_steps.forward(cell, dtype, by_xla),
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
                by_xla,
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
                fused_apart(products.matmul) if by_xla else tf.matmul,
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
    step: Callable,
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

    def go_on(
        time: tf.Tensor, states: Tensors, hidden: tf.Tensor, *arrays: Any
    ) -> tuple:
        there = None if mask is None else mask[time]
        given = projected[time], biases, there, *states
        states, hidden, kept = step(transposed, dropout, hidden, *given)
        outputs, keeps = arrays
        outputs = outputs.write(time + 1, hidden)
        return time + 1, states, hidden, outputs, keeps.write(time, kept)

    first = tf.cast(states[0], dtype)
    outputs = tf.TensorArray(dtype, length + 1).write(0, first)
    keeps = tf.TensorArray(dtype, length, clear_after_read=False)
    _, states, _, outputs, keeps = tf.while_loop(
        lambda time, *_: time < length,
        go_on,
        (tf.constant(0), states, first, outputs, keeps),
    )
    return states, outputs.stack(), keeps


def _backward(
    cell: Cell,
    by_xla: bool,
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
    recurrent = scan_steps.split(recurrent, by_xla, dropout)
    step = scan_steps.backward(cell, dtype, by_xla)

    def go_back(
        time: tf.Tensor, left: Tensors, d_states: Tensors, arrays: Any
    ) -> tuple:
        of_state, others, left, d_states = step(
            recurrent,
            dropout,
            kept.read(time),
            hidden[time],
            d_outputs[time],
            None if mask is None else mask[time],
            left,
            *d_states,
        )
        gates = *tf.unstack(of_state), *others
        arrays = tuple(
            array.write(time, gate)
            for array, gate in zip(arrays, gates, strict=True)
        )
        return time - 1, left, d_states, arrays

    left: Tensors = ()
    if not by_xla:
        nothing = tf.zeros_like(d_states[0], dtype)[tf.newaxis]
        left = (tf.repeat(nothing, recurrent.shape[0], axis=0),)
    arrays = tuple(tf.TensorArray(dtype, length) for _ in range(cell.gates))
    _, left, d_states, arrays = tf.while_loop(
        lambda time, *_: time >= 0,
        go_back,
        (length - 1, left, d_states, arrays),
    )
    return arrays, scan_steps.added(left, dropout, d_states)
