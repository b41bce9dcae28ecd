"""Products of the gates' kernels with what each gate's dropout leaves.

Dropout on inputs or states may have a mask for each gate, the same at all
steps: `y_g = K_g^T (m_g x)`. Without one, all gates share one product.

Axes: B batch, T time, I inputs or units, U units, G the gates' units.
"""

import tensorflow as tf


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
    steps: tf.Tensor, d_product: tf.Tensor, dropout: tf.Tensor | None
) -> tf.Tensor:
    """The kernel's gradient [I,G], of values [T,I,B] and of [G,T*B]."""
    if dropout is None:
        return tf.matmul(flat(steps), d_product, transpose_b=True)
    return tf.concat(
        [
            tf.matmul(flat(_thinned(steps, left)), d_gate, transpose_b=True)
            for left, d_gate in _by_gate(dropout, d_product)
        ],
        axis=1,
    )


def d_steps(
    kernel: tf.Tensor,
    d_product: tf.Tensor,
    steps: tf.Tensor,
    dropout: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient of values [T,I,B], as [I,T,B], of [I,G] and of [G,T*B]."""
    shape = tf.gather(tf.shape(steps), [1, 0, 2])
    if dropout is None:
        return tf.reshape(tf.matmul(kernel, d_product), shape)
    kernels = tf.split(kernel, dropout.shape[0], axis=1)  # [I,U] each
    return tf.add_n(
        [
            _thinned(
                tf.reshape(tf.matmul(of_gate, d_gate), shape),
                left[:, tf.newaxis],
            )
            for of_gate, (left, d_gate) in zip(
                kernels, _by_gate(dropout, d_product), strict=True
            )
        ]
    )


def flat(steps: tf.Tensor) -> tf.Tensor:
    """[T,I,B] as [I,T*B]."""
    rows = tf.transpose(steps, [1, 0, 2])
    return tf.reshape(rows, [tf.shape(rows)[0], -1])


def _thinned(values: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Multiplied before it is rounded, like what dropout leaves elsewhere."""
    return tf.cast(tf.cast(values, tf.float32) * left, values.dtype)


def _by_gate(dropout: tf.Tensor, d_product: tf.Tensor) -> zip:
    """Each gate's dropout [I,B] with its rows of the gradient [G,T*B]."""
    count = dropout.shape[0]
    return zip(
        tf.unstack(dropout), tf.split(d_product, count, axis=0), strict=True
    )
