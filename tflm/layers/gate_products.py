"""Products of the gates' kernels, and their gradients gate by gate.

Dropout on inputs or states may have a mask for each gate, the same at all
steps: `y_g = K_g^T (m_g x)`. Without one, all gates share one product.

Axes: B batch, T time, I inputs or units, U units, G the gates' units.
"""

import tensorflow as tf

from tflm.layers.cells import float32


def product(
    transposed: tf.Tensor, values: tf.Tensor, dropout: tf.Tensor | None
) -> tf.Tensor:
    """A kernel, [G,I] or as a batch of one, with values [...,I,B]: [...,G,B].

    Args:
        transposed: The kernel of all gates in one.
        values: Of its dtype.
        dropout: Optional float32 [gates,I,B], what values are multiplied by.
    """
    if dropout is None:
        return tf.matmul(transposed, values)
    count, size = dropout.shape[0], transposed.shape[-1]
    by_gate = tf.reshape(transposed, [count, -1, size])  # [gates,U,I]
    thinned = _thinned(values[..., tf.newaxis, :, :], dropout)
    shape = tf.shape(values)
    rows = tf.constant([transposed.shape[-2]])
    shape = tf.concat([shape[:-2], rows, shape[-1:]], axis=0)
    return tf.reshape(tf.matmul(by_gate, thinned), shape)


def d_kernel(
    values: tf.Tensor, d_gate: tf.Tensor, left: tf.Tensor | None
) -> tf.Tensor:
    """The gradient of a gate's kernel, float32 [I,U].

    Args:
        values: float [I,T,B], what the kernel is multiplied with.
        d_gate: The gate's gradient, [U,T*B].
        left: Optional float32 [I,B], the gate's dropout.
    """
    if left is not None:
        values = _thinned(values, left[:, tf.newaxis])
    return float32(tf.matmul(flat(values), d_gate, transpose_b=True))


def d_values(
    kernel: tf.Tensor,
    d_gate: tf.Tensor,
    shape: tf.Tensor,
    left: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient of values through one gate, float32 [I,T,B].

    Args:
        kernel: The gate's, [I,U].
        d_gate: The gate's gradient, [U,T*B].
        shape: int32 [3], of the result.
        left: Optional float32 [I,B], the gate's dropout.
    """
    product = float32(tf.reshape(tf.matmul(kernel, d_gate), shape))
    return product if left is None else product * left[:, tf.newaxis]


def flat(values: tf.Tensor) -> tf.Tensor:
    """[I,T,B] as [I,T*B]."""
    return tf.reshape(values, [tf.shape(values)[0], -1])


def _thinned(values: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Multiplied before it is rounded, like what dropout leaves elsewhere."""
    return tf.cast(float32(values) * left, values.dtype)
