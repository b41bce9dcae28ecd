"""Recurrent scans with gradients of their own, for training on a CPU.

TensorFlow's gradient of a loop adds up a full weight gradient at every step.
Here the loops hold what is sequential and nothing else: the inputs of all
steps are projected before, and the weights' gradients are one product a gate
over all steps after. States lie transposed, [U,B], which makes the product
inside of the loop nearly twice as fast, and the element-wise part of a step is
one fused kernel where XLA can make it.

Axes: B batch, T time, D width of the inputs, U units, G the gates' units.
"""

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
        inputs: float [B,T,D].
        states: float32 [B,U] each.
        weights: Kernel [D,G], recurrent kernel [U,G], bias [G] or, of inputs
            and of state apart, [2,G], as Keras keeps them.
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

    def turned(values: tf.Tensor, by: int) -> tf.Tensor:
        return tf.roll(values, by * units, axis=-1) if cell.turned else values

    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> tuple[Tensors, Callable]:
        inputs, kernel, recurrent, bias, *states = tensors
        biases = bias[0], turned(bias[1], 1)  # [G] each
        kernel = tf.cast(kernel, dtype)  # [D,G]
        recurrent = turned(tf.cast(recurrent, dtype), 1)  # [U,G]
        steps = tf.transpose(tf.cast(inputs, dtype), [1, 2, 0])  # [T,D,B]
        # As a batch of one: folded into the product, the transposition makes
        # it twice as slow.
        transposed = tf.transpose(kernel)[tf.newaxis]  # [1,G,D]
        projected = gate_products.product(
            transposed, steps, input_dropout
        )  # [T,G,B]
        first = tuple(tf.transpose(state) for state in states)  # [U,B]
        last, hidden, kept = _forward(
            cell, projected, recurrent, biases, first, there, state_dropout
        )
        outputs = tf.transpose(hidden[1:], [2, 0, 1])  # [B,T,U]

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> Tensors:
            arrays, d_first = _backward(
                cell,
                recurrent,
                kept,
                hidden,
                tf.transpose(tf.cast(d_outputs, dtype), [1, 2, 0]),
                tuple(tf.transpose(d) for d in d_last),
                there,
                state_dropout,
            )
            d_recurrent, d_kernel, d_biases, d_steps = _weights_gradients(
                arrays, hidden, steps, kernel, state_dropout, input_dropout
            )
            return (
                tf.cast(tf.transpose(d_steps, [2, 1, 0]), inputs.dtype),
                d_kernel,
                turned(d_recurrent, -1),
                tf.stack([d_biases[0], turned(d_biases[1], -1)]),
                *(tf.transpose(d) for d in d_first),
            )

        return (outputs, *(tf.transpose(state) for state in last)), gradient

    # Keras hands variables over rounded where a layer is called by itself.
    kernel, recurrent, bias = (float32(w) for w in weights)
    outputs, *last = run(inputs, kernel, recurrent, two_biases(bias), *states)
    return outputs, tuple(last)


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

    def of_product(product: tf.Tensor, dropout: tf.Tensor | None) -> tf.Tensor:
        by_gate = float32(product)  # [gates,U,B]
        return tf.reduce_sum(
            by_gate if dropout is None else by_gate * dropout, axis=0
        )

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
        d_hidden += float32(d_output) + of_product(product, dropout)
        gates, d_states = cell.backward(
            float32(kept), float32(before), d_hidden, *d_others
        )
        d_states = where(there, d_states, (d_hidden, *d_others))
        gates = where(there, gates, tuple(tf.zeros_like(g) for g in gates))
        gates = tuple(tf.cast(gate, dtype) for gate in gates)
        return tf.stack(gates[: size // units]), gates, d_states

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
    d_hidden += of_product(product, dropout)
    return arrays, (d_hidden, *d_others)


def _weights_gradients(
    arrays: tuple[tf.TensorArray, ...],
    hidden: tf.Tensor,
    steps: tf.Tensor,
    kernel: tf.Tensor,
    state_dropout: tf.Tensor | None,
    input_dropout: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor, Tensors, tf.Tensor]:
    """Those of recurrent kernel, kernel and biases, and the steps' [D,T,B]."""
    count = kernel.shape[1] // hidden.shape[1]
    hidden = tf.transpose(hidden[:-1], [1, 0, 2])  # [U,T,B]
    steps = tf.transpose(steps, [1, 0, 2])  # [D,T,B]
    kernels = tf.split(kernel, count, axis=1)
    of_state, of_inputs, sums, d_steps = [], [], [], []
    done: list[tf.Tensor] = []
    # A gate at a time: each product is made for all cores, and of the copies
    # in the order of products there is one at a time.
    for index, array in enumerate(arrays):
        with tf.control_dependencies(done):
            d_gate = tf.transpose(array.stack(), [1, 0, 2])  # [U,T,B]
        d_gate = gate_products.flat(d_gate)
        # A product with ones is the fastest way to sum over the steps.
        ones = tf.ones([tf.shape(d_gate)[1], 1], kernel.dtype)
        done = [tf.matmul(d_gate, ones)]
        sums.append(float32(done[0])[:, 0])
        if index < count:
            left = None if state_dropout is None else state_dropout[index]
            with tf.control_dependencies(done):
                done = [gate_products.d_kernel(hidden, d_gate, left)]
            of_state += done
        index -= len(arrays) - count
        if index >= 0:
            left = None if input_dropout is None else input_dropout[index]
            with tf.control_dependencies(done):
                done = [gate_products.d_kernel(steps, d_gate, left)]
            of_inputs += done
            with tf.control_dependencies(done):
                done = [
                    gate_products.d_values(
                        kernels[index], d_gate, tf.shape(steps), left
                    )
                ]
            d_steps += done
    biases = tf.concat(sums[-count:], 0), tf.concat(sums[:count], 0)
    d_recurrent, d_kernel = (tf.concat(d, 1) for d in (of_state, of_inputs))
    return d_recurrent, d_kernel, biases, tf.add_n(d_steps)
