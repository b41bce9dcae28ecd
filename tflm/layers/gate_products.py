"""Products of the gates' kernels, and their gradients gate by gate.

Dropout on inputs or states may have a mask for each gate, the same at all
steps: `y_g = K_g^T (m_g x)`. Without one, all gates share one product.

Axes: B batch, T time, I inputs or units, D width of the inputs, U units,
G the gates' units.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm.layers.cells import Cell, Tensors, float32
from tflm.layers.fused import fused_by_part, matmul


def product(
    transposed: tf.Tensor,
    values: tf.Tensor,
    dropout: tf.Tensor | None,
    multiply: Callable[..., tf.Tensor] = tf.matmul,
) -> tf.Tensor:
    """A kernel, [G,I] or as a batch of one, with values [...,I,B]: [...,G,B].

    Args:
        transposed: The kernel of all gates in one.
        values: Of its dtype.
        dropout: Optional float32 [gates,I,B], what values are multiplied by.
        multiply: What multiplies; `fused.matmul` inside of a kernel.
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


def for_d_state(kernel: tf.Tensor, dropout: tf.Tensor | None) -> tf.Tensor:
    """A recurrent kernel [U,G] as `d_state` takes it, made before the loop."""
    if dropout is None:
        return kernel
    return tf.stack(tf.split(kernel, dropout.shape[0], axis=1))  # [gates,U,U]


def d_state(
    kernel: tf.Tensor, d_gates: Tensors, dropout: tf.Tensor | None
) -> tf.Tensor:
    """The gradient of a state, float32 [U,B]; inside of a kernel.

    Args:
        kernel: See `for_d_state`.
        d_gates: [U,B] each, first those of the projected state.
        dropout: Optional float32 [gates,U,B], what the state was multiplied by.
    """
    if dropout is None:
        d_gates = d_gates[: kernel.shape[1] // kernel.shape[0]]
        return matmul(kernel, tf.concat(d_gates, axis=0))
    by_gate = matmul(kernel, tf.stack(d_gates[: kernel.shape[0]]))
    return tf.add_n(tf.unstack(by_gate * dropout))


def gradients(
    part: int,
    cell: Cell,
    arrays: tuple[tf.TensorArray, ...],
    hidden: tf.Tensor,
    steps: tf.Tensor,
    kernel: tf.Tensor | None,
    state_dropout: tf.Tensor | None,
    input_dropout: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """What the gates' gradients at all steps give.

    Args:
        part: That of the rows, see `fused_by_part`.
        cell: Of which they are.
        arrays: The gradients of each gate, [U,B] a step, as
            `Cell.backward` gives them.
        hidden: The states before the steps, [T,U,B], of the products' dtype.
        steps: The inputs, [T,D,B].
        kernel: That of the inputs, [D,G]; None: nobody asks for their gradient.
        state_dropout: Optional float32 [gates,U,B].
        input_dropout: Optional float32 [gates,D,B].

    Returns:
        The gradients of the kernel [D,G], of the recurrent kernel [U,G], of
        the biases, float32 [2,G], and of the inputs, float32 [B,T,D] or None.
    """
    product = _product(part)
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
            of_state.append(in_turn(_d_kernel, product, hidden, d_gate, left))
        of_input = index - (len(arrays) - count)
        if of_input >= 0:
            left = _of_gate(input_dropout, of_input)
            of_inputs.append(in_turn(_d_kernel, product, steps, d_gate, left))
            if kernels:
                arguments = kernels[of_input], d_gate, tf.shape(steps), left
                d_steps.append(in_turn(_d_values, product, *arguments))

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


_product = fused_by_part(matmul)


def _d_kernel(
    product: Callable[..., tf.Tensor],
    values: tf.Tensor,
    d_gate: tf.Tensor,
    left: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient [I,U] of the kernel by which a gate takes [I,T,B]."""
    if left is not None:
        values = _thinned(values, left[:, tf.newaxis])
    return product(_flat(values), d_gate, True)


def _d_values(
    product: Callable[..., tf.Tensor],
    kernel: tf.Tensor,
    d_gate: tf.Tensor,
    shape: tf.Tensor,
    left: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient float32 [I,T,B] of what a gate takes by a kernel [I,U]."""
    values = tf.reshape(product(kernel, d_gate), shape)
    return values if left is None else values * left[:, tf.newaxis]


def _flat(values: tf.Tensor) -> tf.Tensor:
    """[I,T,B] as [I,T*B]."""
    return tf.reshape(values, [tf.shape(values)[0], -1])


def _thinned(values: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Multiplied before it is rounded, like what dropout leaves elsewhere."""
    return tf.cast(float32(values) * left, values.dtype)
