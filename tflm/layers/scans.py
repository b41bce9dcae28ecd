"""Recurrent scans with gradients of their own, for training on a CPU.

TensorFlow's gradient of a loop adds up a full weight gradient at every step.
Here the loops hold what is sequential and nothing else: the inputs of all
steps are projected before, and the weights' gradients are one product over
all steps after. States lie transposed, [U,B], which makes the product inside
of the loop nearly twice as fast, and the element-wise part of a step is one
fused kernel where XLA can make it.

Axes: B batch, T time, D width of the inputs, U units, G the gates' units.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm.layers.cells import Cell, Tensors
from tflm.layers.fused import fused


def scan(
    cell: Cell,
    inputs: tf.Tensor,
    states: Tensors,
    weights: Tensors,
    dtype: tf.DType,
    mask: tf.Tensor | None = None,
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

    Returns:
        The outputs [B,T,U] in `dtype` and the states after the last step.
    """
    there = None
    if mask is not None:
        there = tf.transpose(mask)[:, tf.newaxis]  # [T,1,B]
    units = weights[1].shape[0]

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
        projected = tf.matmul(transposed, steps)  # [T,G,B]
        first = tuple(tf.transpose(state) for state in states)  # [U,B]
        last, hidden, kept = _forward(
            cell, projected, recurrent, biases, first, there
        )
        outputs = tf.transpose(hidden[1:], [2, 0, 1])  # [B,T,U]

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> Tensors:
            gates, d_first = _backward(
                cell,
                recurrent,
                kept,
                hidden,
                tf.transpose(tf.cast(d_outputs, dtype), [1, 2, 0]),
                tuple(tf.transpose(d) for d in d_last),
                there,
            )
            gates = _flat(gates)  # [.,T*B]
            size = kernel.shape[1]
            of_state, of_inputs = gates[:size], gates[-size:]  # [G,T*B]
            # One after another: each is made for all cores.
            d_recurrent = tf.matmul(
                _flat(hidden[:-1]), of_state, transpose_b=True
            )
            with tf.control_dependencies([d_recurrent]):
                d_kernel = tf.matmul(_flat(steps), of_inputs, transpose_b=True)
            with tf.control_dependencies([d_kernel]):
                d_inputs = tf.matmul(kernel, of_inputs)  # [D,T*B]
            # A product with ones is the fastest way to sum over the steps.
            sums = tf.matmul(gates, tf.ones([tf.shape(gates)[1], 1], dtype))
            d_biases = sums[-size:, 0], turned(sums[:size, 0], -1)
            length, width, batch = tf.unstack(tf.shape(steps))
            d_inputs = tf.reshape(d_inputs, [width, length, batch])
            return (
                tf.cast(tf.transpose(d_inputs, [2, 1, 0]), inputs.dtype),
                _float32(d_kernel),
                turned(_float32(d_recurrent), -1),
                tf.stack([_float32(d) for d in d_biases]),
                *(tf.transpose(d) for d in d_first),
            )

        return (outputs, *(tf.transpose(state) for state in last)), gradient

    # Keras hands variables over rounded where a layer is called by itself.
    kernel, recurrent, bias = (_float32(w) for w in weights)
    outputs, *last = run(inputs, kernel, recurrent, _two_biases(bias), *states)
    return outputs, tuple(last)


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
        inputs = _float32(tf.transpose(inputs)) + biases[0]
        after, _ = cell.forward(inputs, _float32(state) + biases[1], *states)
        return _where(there, after, states)

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
    bias = _two_biases(_float32(bias))  # [2,G]
    recurrent = tf.transpose(tf.cast(recurrent, dtype))  # [G,U]
    if cell.turned:
        recurrent = tf.roll(recurrent, units, axis=0)
        bias = tf.stack([bias[0], tf.roll(bias[1], units, axis=0)])
    return recurrent, bias[:, :, tf.newaxis]


def _forward(
    cell: Cell,
    projected: tf.Tensor,
    recurrent: tf.Tensor,
    biases: Tensors,
    states: Tensors,
    mask: tf.Tensor | None,
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
            _float32(part) + bias[:, tf.newaxis]
            for part, bias in zip((inputs, state), biases, strict=True)
        )
        after, kept = cell.forward(inputs, state, *states)
        after = _where(there, after, states)
        return after, tf.cast(after[0], dtype), tf.cast(kept, dtype)

    def step(
        time: tf.Tensor, states: Tensors, hidden: tf.Tensor, *arrays: Any
    ) -> tuple:
        product = tf.matmul(transposed, hidden)  # [G,B]
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
) -> tuple[tf.Tensor, Tensors]:
    """The gates' gradients, stacked over time, and the first states'."""
    dtype = recurrent.dtype
    length = tf.shape(d_outputs)[0]
    units, size = recurrent.shape
    # A product for each gate, added up in the kernel: long rows of a power of
    # two bytes share cache lines, and one product takes a third longer.
    recurrent = tf.stack(tf.split(recurrent, size // units, axis=1))

    @fused
    def element_wise(
        kept: tf.Tensor,
        before: tf.Tensor,
        d_output: tf.Tensor,
        product: tf.Tensor,
        there: tf.Tensor | None,
        d_hidden: tf.Tensor,
        *d_others: tf.Tensor,
    ) -> tuple[tf.Tensor, Tensors]:
        d_hidden += _float32(d_output) + tf.reduce_sum(_float32(product), 0)
        gates, d_states = cell.backward(
            _float32(kept), _float32(before), d_hidden, *d_others
        )
        d_states = _where(there, d_states, (d_hidden, *d_others))
        [gates] = _where(there, (gates,), (tf.zeros_like(gates),))
        return tf.cast(gates, dtype), d_states

    def step(
        time: tf.Tensor, d_states: Tensors, product: tf.Tensor, array: Any
    ) -> tuple:
        there = None if mask is None else mask[time]
        gates, d_states = element_wise(
            kept.read(time),
            hidden[time],
            d_outputs[time],
            product,
            there,
            *d_states,
        )
        of_state = tf.reshape(gates[:size], [size // units, units, -1])
        product = tf.matmul(recurrent, of_state)  # [gates,U,B]
        return time - 1, d_states, product, array.write(time, gates)

    nothing = tf.zeros_like(d_states[0])[tf.newaxis]
    nothing = tf.repeat(tf.cast(nothing, dtype), size // units, axis=0)
    _, (d_hidden, *d_others), product, gates = tf.while_loop(
        lambda time, *_: time >= 0,
        step,
        (
            length - 1,
            d_states,
            nothing,
            tf.TensorArray(dtype, length),
        ),
    )
    d_hidden += tf.reduce_sum(_float32(product), 0)
    return gates.stack(), (d_hidden, *d_others)


def _where(there: tf.Tensor | None, new: Tensors, old: Tensors) -> Tensors:
    """The new ones where a step counts, [1,B]; all of them without a mask."""
    if there is None:
        return new
    return tuple(
        tf.where(there, one, other) for one, other in zip(new, old, strict=True)
    )


def _flat(steps: tf.Tensor) -> tf.Tensor:
    """[T,I,B] as [I,T*B]."""
    rows = tf.transpose(steps, [1, 0, 2])
    return tf.reshape(rows, [tf.shape(rows)[0], -1])


def _two_biases(bias: tf.Tensor) -> tf.Tensor:
    """A bias of inputs and of state apart, [2,G], also where there is one."""
    if bias.shape.rank == 1:
        return tf.stack([bias, tf.zeros_like(bias)])
    return bias


def _float32(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.float32)
