"""Products of the gates' kernels, and their gradients gate by gate.

Dropout on inputs or states may have a mask for each gate, the same at all
steps: `y_g = K_g^T (m_g x)`. Without one, all gates share one product.

Axes: B batch, T time, I inputs or units, D width of the inputs, U units,
G the gates' units.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm.layers.cells import Cell, float32

# Multiplies as `tf.matmul` does.
Multiply = Callable[..., tf.Tensor]


def product(
    transposed: tf.Tensor,
    values: tf.Tensor,
    dropout: tf.Tensor | None,
    multiply: Multiply = tf.matmul,
) -> tf.Tensor:
    """A kernel, [G,I] or as a batch of one, with values [...,I,B]: [...,G,B].

    Args:
        transposed: The kernel of all gates in one.
        values: Of its dtype.
        dropout: Optional float32 [gates,I,B], what values are multiplied by.
        multiply: What multiplies matrices. Default: TensorFlow.
    """
    if dropout is None:
        return multiply(transposed, values)
    count, size = dropout.shape[0], transposed.shape[-1]
    by_gate = tf.reshape(transposed, [count, -1, size])  # [gates,U,I]
    thinned = _thinned(values[..., tf.newaxis, :, :], dropout)
    shape = tf.shape(values)
    rows = tf.constant([transposed.shape[-2]])
    shape = tf.concat([shape[:-2], rows, shape[-1:]], axis=0)
    return tf.reshape(multiply(by_gate, thinned), shape)


def projected(
    kernel: tf.Tensor, steps: tf.Tensor, dropout: tf.Tensor | None = None
) -> tf.Tensor:
    """What the inputs of all steps, [T,D,B], are for the gates, [T,G,B].

    Args:
        kernel: That of the inputs, [D,G], of the dtype of the steps.
        steps: The inputs.
        dropout: Optional float32 [gates,D,B], see `product`.
    """
    # As a batch of one: folded into the product, the transposition makes it
    # twice as slow.
    return product(tf.transpose(kernel)[tf.newaxis], steps, dropout)


def gradients(
    cell: Cell,
    arrays: tuple[tf.TensorArray, ...],
    hidden: tf.Tensor,
    steps: tf.Tensor,
    kernel: tf.Tensor | None,
    state_dropout: tf.Tensor | None,
    input_dropout: tf.Tensor | None,
    multiply: Multiply = tf.matmul,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """What the gates' gradients at all steps give.

    Args:
        cell: Of which they are.
        arrays: The gradients of each gate, [U,B] a step, as
            `Cell.backward` gives them.
        hidden: The states before the steps, [T,U,B], of the products' dtype.
        steps: The inputs, [T,D,B].
        kernel: That of the inputs, [D,G]; None: nobody asks for their gradient.
        state_dropout: Optional float32 [gates,U,B].
        input_dropout: Optional float32 [gates,D,B].
        multiply: See `product`.

    Returns:
        The gradients of the kernel [D,G], of the recurrent kernel [U,G], of
        the biases, float32 [2,G], and of the inputs, float32 [B,T,D] or None.
    """
    count = cell.gates - cell.turned  # of each projection
    hidden = tf.transpose(hidden, [1, 0, 2])  # [U,T,B]
    steps = tf.transpose(steps, [1, 0, 2])  # [D,T,B]
    kernels = [] if kernel is None else tf.split(kernel, count, axis=1)
    of_state, of_inputs, sums, d_steps = [], [], [], []
    done: list[tf.Tensor] = []

    def in_turn(make: Callable[..., tf.Tensor], *arguments: Any) -> tf.Tensor:
        # Each product is made for all cores, and of the copies in the order of
        # products there is one at a time.
        with tf.control_dependencies(done):
            done[:] = [make(*arguments)]
        return done[0]

    for index, array in enumerate(arrays):
        d_gate = in_turn(_flat_gate, array)  # [U,T*B]
        sums.append(in_turn(_sum_of_steps, d_gate))
        if index < count:
            left = _of_gate(state_dropout, index)
            of_state.append(in_turn(_d_kernel, multiply, hidden, d_gate, left))
        of_input = index - (len(arrays) - count)
        if of_input >= 0:
            left = _of_gate(input_dropout, of_input)
            of_inputs.append(in_turn(_d_kernel, multiply, steps, d_gate, left))
            if kernels:
                arguments = kernels[of_input], d_gate, tf.shape(steps), left
                d_steps.append(in_turn(_d_values, multiply, *arguments))

    def joined(parts: list[tf.Tensor], turned: bool = False) -> tf.Tensor:
        return tf.concat(parts[1:] + parts[:1] if turned else parts, axis=-1)

    d_biases = joined(sums[-count:]), joined(sums[:count], cell.turned)
    return (
        joined(of_inputs),
        joined(of_state, cell.turned),
        tf.stack(d_biases),
        tf.transpose(tf.add_n(d_steps), [2, 1, 0]) if d_steps else None,
    )


def _flat_gate(array: tf.TensorArray) -> tf.Tensor:
    return _flat(tf.transpose(array.stack(), [1, 0, 2]))


def _sum_of_steps(d_gate: tf.Tensor) -> tf.Tensor:
    """float32 [U] of [U,T*B]; a product with ones is the fastest way."""
    ones = tf.ones([tf.shape(d_gate)[1], 1], d_gate.dtype)
    return float32(tf.matmul(d_gate, ones))[:, 0]


def _of_gate(dropout: tf.Tensor | None, index: int) -> tf.Tensor | None:
    return None if dropout is None else dropout[index]


def _d_kernel(
    multiply: Multiply,
    values: tf.Tensor,
    d_gate: tf.Tensor,
    left: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient [I,U] of the kernel by which a gate takes [I,T,B]."""
    if left is not None:
        values = _thinned(values, left[:, tf.newaxis])
    return multiply(_flat(values), d_gate, transpose_b=True)


def _d_values(
    multiply: Multiply,
    kernel: tf.Tensor,
    d_gate: tf.Tensor,
    shape: tf.Tensor,
    left: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient float32 [I,T,B] of what a gate takes by a kernel [I,U]."""
    product = float32(tf.reshape(multiply(kernel, d_gate), shape))
    return product if left is None else product * left[:, tf.newaxis]


def _flat(values: tf.Tensor) -> tf.Tensor:
    """[I,T,B] as [I,T*B]."""
    return tf.reshape(values, [tf.shape(values)[0], -1])


def _thinned(values: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Multiplied before it is rounded, like what dropout leaves elsewhere."""
    return tf.cast(float32(values) * left, values.dtype)
