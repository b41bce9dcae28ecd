"""A step of a scan in training, forward and back.

The element-wise part of a step is one kernel where XLA can make it, and where
XLA's products are faster all of it is.

Axes: B batch, U units, G the gates' units.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from tflm.layers import gate_products, products
from tflm.layers.cells import Cell, Tensors, float32, where
from tflm.layers.fused import fused, fused_apart


def forward(
    cell: Cell, dtype: tf.DType, by_xla: bool
) -> Callable[..., tuple[Tensors, tf.Tensor, tf.Tensor]]:
    """A step: the states after it, hidden rounded, and what `backward` needs.

    It takes the recurrent kernel [G,U], its dropout, the rounded hidden state
    [U,B], the projected inputs [G,B], the biases, the mask and the states.
    """
    step = _forward(cell, dtype, by_xla)
    return fused_apart(step) if by_xla else step


def backward(
    cell: Cell, dtype: tf.DType, by_xla: bool
) -> Callable[..., tuple[tf.Tensor, Tensors, Tensors, Tensors]]:
    """A step back: gradients of gates, products left to add, and the states'.

    The gates are those of the projected state, [gates,U,B], and the others. It
    takes the recurrent kernel, see `split`, its dropout, what the step forward
    kept, the rounded hidden state before it, the output's gradient, the mask,
    the products that the step behind has left, and the states' gradients, of
    which the hidden one is without these.
    """
    step = _backward(cell, dtype, by_xla)
    return fused_apart(step) if by_xla else step


def split(
    recurrent: tf.Tensor, by_xla: bool, dropout: tf.Tensor | None
) -> tf.Tensor:
    """A recurrent kernel [U,G] for `backward`, or one of each gate [gates,U,U].

    A product for each gate, added up in the kernel: long rows of a power of two
    bytes share cache lines, and by TensorFlow one product takes a third longer.
    """
    if by_xla and dropout is None:
        return recurrent
    units, size = recurrent.shape
    return tf.stack(tf.split(recurrent, size // units, axis=1))


def added(
    left: Tensors, dropout: tf.Tensor | None, d_states: Tensors
) -> Tensors:
    """The states' gradients with a product, [U,B] or of each gate, or none."""
    d_hidden, *d_others = d_states
    for product in left:
        of_state = float32(product)
        if dropout is not None:
            of_state *= dropout
        # One by one: a sum in a kernel must be of one part of the rows.
        parts = tf.unstack(of_state) if of_state.shape.rank == 3 else [of_state]
        d_hidden = tf.add_n([d_hidden, *parts])
    return d_hidden, *d_others


# Each trace of a kernel is a compilation: layers, parts of the rows and calls
# share those that have no product.
@functools.cache
def _forward(cell: Cell, dtype: tf.DType, by_xla: bool) -> Callable:
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

    multiply = products.matmul if by_xla else tf.matmul

    def step(
        recurrent: tf.Tensor,
        dropout: tf.Tensor | None,
        hidden: tf.Tensor,
        inputs: tf.Tensor,
        *others: tf.Tensor,
    ) -> tuple[Tensors, tf.Tensor, tf.Tensor]:
        product = gate_products.product(recurrent, hidden, dropout, multiply)
        return element_wise(inputs, product, *others)

    return step


@functools.cache
def _backward(cell: Cell, dtype: tf.DType, by_xla: bool) -> Callable:
    @fused
    def element_wise(
        dropout: tf.Tensor | None,
        kept: tf.Tensor,
        before: tf.Tensor,
        d_output: tf.Tensor,
        there: tf.Tensor | None,
        left: Tensors,
        *d_states: tf.Tensor,
    ) -> tuple[tf.Tensor, Tensors, Tensors]:
        d_hidden, *d_others = added(left, dropout, d_states)
        d_hidden += float32(d_output)
        gates, d_states = cell.backward(
            float32(kept), float32(before), d_hidden, *d_others
        )
        d_states = where(there, d_states, (d_hidden, *d_others))
        gates = where(there, gates, tuple(tf.zeros_like(g) for g in gates))
        gates = tuple(tf.cast(gate, dtype) for gate in gates)
        count = cell.gates - cell.turned
        # In one, they are computed by one loop and not by one each.
        return tf.stack(gates[:count]), gates[count:], d_states

    def step(
        recurrent: tf.Tensor, dropout: tf.Tensor | None, *others: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors, Tensors, Tensors]:
        of_state, gates, d_states = element_wise(dropout, *others)
        if not by_xla:
            left = (tf.matmul(recurrent, of_state),)
            return of_state, gates, left, d_states
        *count, _, size = recurrent.shape
        product = products.matmul(
            recurrent, tf.reshape(of_state, [*count, size, -1])
        )
        return of_state, gates, (), added((product,), dropout, d_states)

    return step
