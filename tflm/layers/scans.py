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
from typing import Any, NamedTuple

import tensorflow as tf

from tflm.layers.fused import fused

Tensors = tuple[tf.Tensor, ...]


class Cell(NamedTuple):
    """The element-wise part of a recurrent cell; all of it float32 [.,B].

    Attributes:
        forward: Takes the projected inputs [G,B], the projected state [G,B],
            the bias of the latter [G,1] and the states [U,B]; gives the new
            states and what `backward` needs, stacked in one tensor.
        backward: Takes that tensor and the states' gradients; gives the
            gradients of the gates, stacked, and those of the earlier states
            that do not pass through the weights.
        of_state, of_inputs: Take from the stack [T,.,B] the gradients [T,G,B]
            of the projected state and of the projected inputs.
    """

    forward: Callable[..., tuple[Tensors, tf.Tensor]]
    backward: Callable[..., tuple[tf.Tensor, Tensors]]
    of_state: Callable[[tf.Tensor], tf.Tensor]
    of_inputs: Callable[[tf.Tensor], tf.Tensor]


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
        cell: `SIMPLE_RNN`, `GRU` or `LSTM`.
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
    there = (
        None if mask is None else tf.transpose(mask)[:, tf.newaxis]
    )  # [T,1,B]

    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> tuple[Tensors, Callable]:
        inputs, kernel, recurrent, bias, *states = tensors
        inputs_bias, state_bias = tf.unstack(bias)  # [G] each
        kernel = _with_row(kernel, inputs_bias, dtype)  # [D+1,G]
        recurrent = tf.cast(recurrent, dtype)  # [U,G]
        steps = _with_ones(tf.transpose(tf.cast(inputs, dtype), [1, 2, 0]))
        projected = tf.matmul(kernel, steps, transpose_a=True)  # [T,G,B]
        first = tuple(tf.transpose(state) for state in states)  # [U,B]
        last, hidden, kept = _forward(
            cell, projected, recurrent, state_bias[:, tf.newaxis], first, there
        )
        outputs = tf.transpose(hidden, [2, 0, 1])  # [B,T,U]

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> Tensors:
            before = tf.cast(first[0], dtype)[tf.newaxis]
            before = tf.concat([before, hidden[:-1]], axis=0)  # [T,U,B]
            d_steps = tf.transpose(tf.cast(d_outputs, dtype), [1, 2, 0])
            gates, d_first = _backward(
                cell,
                recurrent,
                kept,
                d_steps,
                tuple(tf.transpose(d) for d in d_last),
                there,
            )
            of_inputs, of_state = cell.of_inputs(gates), cell.of_state(gates)
            d_kernel = _sum_of_products(steps, of_inputs)  # [D+1,G]
            d_recurrent = _sum_of_products(_with_ones(before), of_state)
            d_inputs = tf.matmul(kernel[:-1], of_inputs)  # [T,D,B]
            return (
                tf.cast(tf.transpose(d_inputs, [2, 0, 1]), inputs.dtype),
                d_kernel[:-1],
                d_recurrent[:-1],
                tf.stack([d_kernel[-1], d_recurrent[-1]]),
                *(tf.transpose(d) for d in d_first),
            )

        return (outputs, *(tf.transpose(state) for state in last)), gradient

    # Keras hands variables over rounded where a layer is called by itself.
    kernel, recurrent, bias = (_float32(w) for w in weights)
    if bias.shape.rank == 1:
        bias = tf.stack([bias, tf.zeros_like(bias)])  # [2,G]
    outputs, *last = run(inputs, kernel, recurrent, bias, *states)
    return outputs, tuple(last)


def _forward(
    cell: Cell,
    projected: tf.Tensor,
    recurrent: tf.Tensor,
    bias: tf.Tensor,
    states: Tensors,
    mask: tf.Tensor | None,
) -> tuple[Tensors, tf.Tensor, tf.TensorArray]:
    """The last states, all hidden states [T,U,B], what backward needs."""
    dtype = projected.dtype
    length = tf.shape(projected)[0]
    transposed = tf.transpose(recurrent)  # [G,U]

    @fused
    def element_wise(
        inputs: tf.Tensor,
        state: tf.Tensor,
        bias: tf.Tensor,
        there: tf.Tensor | None,
        *states: tf.Tensor,
    ) -> tuple[Tensors, tf.Tensor, tf.Tensor]:
        inputs, state = _float32(inputs), _float32(state)
        after, kept = cell.forward(inputs, state + bias, *states)
        after = _where(there, after, states)
        return after, tf.cast(after[0], dtype), tf.cast(kept, dtype)

    def step(
        time: tf.Tensor, states: Tensors, hidden: tf.Tensor, *arrays: Any
    ) -> tuple:
        product = tf.matmul(transposed, hidden)  # [G,B]
        there = None if mask is None else mask[time]
        states, hidden, kept = element_wise(
            projected[time], product, bias, there, *states
        )
        written = [
            array.write(time, value)
            for array, value in zip(arrays, (hidden, kept), strict=True)
        ]
        return time + 1, states, hidden, *written

    arrays = [
        tf.TensorArray(dtype, length, clear_after_read=False) for _ in range(2)
    ]
    _, states, _, hidden, kept = tf.while_loop(
        lambda time, *_: time < length,
        step,
        (tf.constant(0), states, tf.cast(states[0], dtype), *arrays),
    )
    return states, hidden.stack(), kept


def _backward(
    cell: Cell,
    recurrent: tf.Tensor,
    kept: tf.TensorArray,
    d_outputs: tf.Tensor,
    d_states: Tensors,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, Tensors]:
    """The gates' gradients, stacked over time, and the first states'."""
    dtype = recurrent.dtype
    length = tf.shape(d_outputs)[0]

    @fused
    def element_wise(
        kept: tf.Tensor,
        d_output: tf.Tensor,
        product: tf.Tensor,
        there: tf.Tensor | None,
        d_hidden: tf.Tensor,
        *d_others: tf.Tensor,
    ) -> tuple[tf.Tensor, Tensors]:
        d_hidden += _float32(d_output) + _float32(product)
        gates, d_states = cell.backward(_float32(kept), d_hidden, *d_others)
        d_states = _where(there, d_states, (d_hidden, *d_others))
        [gates] = _where(there, (gates,), (tf.zeros_like(gates),))
        return tf.cast(gates, dtype), d_states

    def step(
        time: tf.Tensor, d_states: Tensors, product: tf.Tensor, array: Any
    ) -> tuple:
        there = None if mask is None else mask[time]
        gates, d_states = element_wise(
            kept.read(time), d_outputs[time], product, there, *d_states
        )
        product = tf.matmul(recurrent, cell.of_state(gates[tf.newaxis])[0])
        return time - 1, d_states, product, array.write(time, gates)

    _, (d_hidden, *d_others), product, gates = tf.while_loop(
        lambda time, *_: time >= 0,
        step,
        (
            length - 1,
            d_states,
            tf.cast(tf.zeros_like(d_states[0]), dtype),
            tf.TensorArray(dtype, length),
        ),
    )
    return gates.stack(), (d_hidden + _float32(product), *d_others)


def _where(there: tf.Tensor | None, new: Tensors, old: Tensors) -> Tensors:
    """The new ones where a step counts, [1,B]; all of them without a mask."""
    if there is None:
        return new
    return tuple(
        tf.where(there, one, other) for one, other in zip(new, old, strict=True)
    )


def _simple_forward(
    inputs: tf.Tensor, state: tf.Tensor, hidden: tf.Tensor
) -> tuple[Tensors, tf.Tensor]:
    hidden = tf.tanh(inputs + state)
    return (hidden,), hidden


def _simple_backward(
    hidden: tf.Tensor, d_hidden: tf.Tensor
) -> tuple[tf.Tensor, Tensors]:
    return d_hidden * (1 - hidden * hidden), (tf.zeros_like(d_hidden),)


def _gru_forward(
    inputs: tf.Tensor, state: tf.Tensor, hidden: tf.Tensor
) -> tuple[Tensors, tf.Tensor]:
    z, r, c = tf.split(inputs, 3)
    z_state, r_state, c_state = tf.split(state, 3)
    z, r = tf.sigmoid(z + z_state), tf.sigmoid(r + r_state)
    c = tf.tanh(c + r * c_state)
    kept = tf.concat([z, r, c, c_state, hidden], axis=0)
    return (c + z * (hidden - c),), kept


def _gru_backward(
    kept: tf.Tensor, d_hidden: tf.Tensor
) -> tuple[tf.Tensor, Tensors]:
    z, r, c, c_state, hidden = tf.split(kept, 5)
    d_z = d_hidden * (hidden - c) * z * (1 - z)
    d_c = d_hidden * (1 - z) * (1 - c * c)
    d_r = d_c * c_state * r * (1 - r)
    # The candidate's gradient differs by r between its two products.
    return tf.concat([d_z, d_r, d_c * r, d_c], axis=0), (d_hidden * z,)


def _gru_of_inputs(gates: tf.Tensor) -> tf.Tensor:
    z, r, _, c = tf.split(gates, 4, axis=1)
    return tf.concat([z, r, c], axis=1)


def _gru_of_state(gates: tf.Tensor) -> tf.Tensor:
    return gates[:, : tf.shape(gates)[1] // 4 * 3]


def _lstm_forward(
    inputs: tf.Tensor, state: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor
) -> tuple[Tensors, tf.Tensor]:
    i, f, g, o = tf.split(inputs + state, 4)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    new = f * cell + i * g
    tanh = tf.tanh(new)
    return (o * tanh, new), tf.concat([i, f, g, o, tanh, cell], axis=0)


def _lstm_backward(
    kept: tf.Tensor, d_hidden: tf.Tensor, d_cell: tf.Tensor
) -> tuple[tf.Tensor, Tensors]:
    i, f, g, o, tanh, cell = tf.split(kept, 6)
    d_cell += d_hidden * o * (1 - tanh * tanh)
    gates = [
        d_cell * g * i * (1 - i),
        d_cell * cell * f * (1 - f),
        d_cell * i * (1 - g * g),
        d_hidden * tanh * o * (1 - o),
    ]
    return tf.concat(gates, axis=0), (tf.zeros_like(d_hidden), d_cell * f)


SIMPLE_RNN = Cell(_simple_forward, _simple_backward, tf.identity, tf.identity)
GRU = Cell(_gru_forward, _gru_backward, _gru_of_state, _gru_of_inputs)
LSTM = Cell(_lstm_forward, _lstm_backward, tf.identity, tf.identity)


def _sum_of_products(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Sum over T and B of left [T,I,B] times right [T,J,B], float32 [I,J]."""
    left = tf.transpose(left, [1, 0, 2])  # [I,T,B]
    right = tf.transpose(right, [1, 0, 2])  # [J,T,B]
    flat = (tf.reshape(m, [tf.shape(m)[0], -1]) for m in (left, right))
    return _float32(tf.matmul(*flat, transpose_b=True))


def _with_ones(steps: tf.Tensor) -> tf.Tensor:
    """[T,I,B] with a row of ones below, whose weights are the bias."""
    return tf.concat([steps, tf.ones_like(steps[:, :1])], axis=1)


def _with_row(matrix: tf.Tensor, row: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.concat([matrix, row[tf.newaxis]], axis=0), dtype)


def _float32(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.float32)
