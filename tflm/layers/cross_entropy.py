"""Output layer and cross-entropy in one, with a gradient of its own.

Logits of a large vocabulary are most of a step's memory and traffic: here a
slice of them at a time is made, turned into its gradient and let go.

Axes: N targets, C targets of a slice, D width, V vocabulary.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tflm.layers import row_part
from tflm.layers.fused import fused_by_part

# Logits of a slice, 64 MiB in float32, and its fewest targets: with fewer, the
# products are too thin to be fast.
_SLICE = 2**24
_FEWEST = 512


def summed_nats(
    hidden: tf.Tensor,
    table: tf.Tensor,
    bias: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
) -> tf.Tensor:
    """Weighted cross-entropy of the targets under `hidden @ table.T + bias`.

    The gradient with respect to `hidden`, `table` and `bias` is computed with
    the value, so what only needs a value is better off without this function.

    Args:
        hidden: float [N,D]; its dtype is that of the products.
        table: float32 [V,D], a row for each id.
        bias: float32 [V].
        targets: int [N].
        weights: float32 [N].

    Returns:
        float32 scalar: the sum of `weights` times the targets' nats. It is not
        a number where a target that counts is no id.

    Example:
    >>> nats = summed_nats(
    ...     tf.ones([3, 2]), tf.ones([4, 2]), tf.zeros([4]),
    ...     tf.constant([0, 1, 2]), tf.constant([1.0, 1.0, 0.0]),
    ... )
    >>> print(f"{nats:.4f}")  # 2 ln 4
    2.7726
    """

    @tf.custom_gradient
    def run(
        hidden: tf.Tensor, table: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, Callable]:
        nats, *gradients = _value_and_gradients(
            hidden, table, bias, targets, weights
        )

        def gradient(d_nats: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return tuple(tf.cast(d_nats, g.dtype) * g for g in gradients)

        return nats, gradient

    return run(hidden, table, bias)


def _value_and_gradients(
    hidden: tf.Tensor,
    table: tf.Tensor,
    bias: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    count = tf.shape(hidden)[0]
    size = _slice_size(table.shape[0])
    rows = tf.cast(table, hidden.dtype)  # [V,D]
    nats_and_gradient = _nats_and_gradient(row_part.index())

    def step(
        begin: tf.Tensor,
        nats: tf.Tensor,
        d_hidden: tf.TensorArray,
        d_table: tf.Tensor,
        d_bias: tf.Tensor,
    ) -> tuple:
        part = slice(begin, tf.minimum(begin + size, count))
        states = hidden[part]  # [C,D]
        logits = tf.matmul(states, rows, transpose_b=True)  # [C,V]
        sum_, gradient = nats_and_gradient(
            logits, bias, targets[part], weights[part]
        )
        d_hidden = d_hidden.write(begin // size, tf.matmul(gradient, rows))
        d_rows = tf.matmul(gradient, states, transpose_a=True)  # [V,D]
        # A product with ones is the fastest way to sum over a slice.
        ones = tf.ones_like(states[:, :1])  # [C,1]
        sums = tf.matmul(gradient, ones, transpose_a=True)[:, 0]  # [V]
        return (
            begin + size,
            nats + sum_,
            d_hidden,
            d_table + tf.cast(d_rows, tf.float32),
            d_bias + tf.cast(sums, tf.float32),
        )

    slices = tf.TensorArray(
        hidden.dtype,
        (count + size - 1) // size,
        infer_shape=False,
        element_shape=[None, hidden.shape[1]],
    )
    zeros = (tf.zeros(table.shape), tf.zeros(bias.shape))
    _, nats, d_hidden, d_table, d_bias = tf.while_loop(
        lambda begin, *_: begin < count,
        step,
        (tf.constant(0), tf.constant(0.0), slices, *zeros),
        parallel_iterations=1,
    )
    return nats, d_hidden.concat(), d_table, d_bias


@fused_by_part
def _nats_and_gradient(
    logits: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """A slice's weighted nats, and the gradient of its logits [C,V]."""
    dtype = logits.dtype
    logits = tf.cast(logits, tf.float32) + bias  # [C,V]
    logits -= tf.reduce_max(logits, axis=1, keepdims=True)
    shares = tf.exp(logits)
    total = tf.reduce_sum(shares, axis=1)  # [C]
    ids = tf.range(tf.shape(logits)[1], dtype=targets.dtype)  # [V]
    is_target = ids == targets[:, tf.newaxis]  # [C,V]
    of_target = tf.gather(logits, targets, axis=1, batch_dims=1)  # [C]
    # XLA takes the nearest id in the place of one that there is not.
    known = (targets >= 0) & (targets < tf.size(ids, targets.dtype))
    of_target = tf.where(known | (weights == 0), of_target, math.nan)
    nats = tf.reduce_sum(weights * (tf.math.log(total) - of_target))
    gradient = (weights / total)[:, tf.newaxis] * shares
    gradient -= tf.where(is_target, weights[:, tf.newaxis], 0.0)
    return nats, tf.cast(gradient, dtype)


def _slice_size(vocabulary_size: int) -> int:
    """Targets in a slice: a power of two, so that slices are of one size."""
    return 2 ** (max(_SLICE // vocabulary_size, _FEWEST).bit_length() - 1)
