"""Element-wise code as one kernel, where XLA works."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# At least so many columns of a product of bfloat16, see `matmul`.
_COLUMNS = 32


def fused(function: Callable) -> Callable:
    """The function as one kernel, where XLA works; as it is elsewhere."""
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        # Asked for when it is called: TensorFlow is not started by an import.
        return (compiled if xla_works() else function)(*arguments)

    return call


def fused_by_part(function: Callable) -> Callable[[int], Callable]:
    """The function as a kernel for each part of a batch's rows, by its index.

    For what adds up or compares many numbers, where parts may be worked on side
    by side: XLA leaves that to YNNPACK, and when two threads meet in a kernel
    that is new the process may die, which was seen with TensorFlow 2.21.

    >>> total = fused_by_part(tf.reduce_sum)
    >>> int(total(0)(tf.range(3))), total(0) is total(0), total(0) is total(1)
    (3, True, False)
    """
    traced = tf.function(function, autograph=False)  # once for all parts
    return functools.cache(
        lambda part: fused(lambda *arguments: traced(*arguments))
    )


def matmul(
    left: tf.Tensor, right: tf.Tensor, transpose_b: bool = False
) -> tf.Tensor:
    """A product in float32 of factors in any precision; inside of a kernel.

    A product of bfloat16 that is not rounded again XLA leaves to YNNPACK, which
    takes half of oneDNN's time where the right factor has tens of columns. It
    does so for more than 16, so that a few are made more. As it sums, a kernel
    with it is one of `fused_by_part`. It has no gradient: it is for code that
    has one of its own.

    Args:
        left: float [...,M,N].
        right: float [...,N,P] of the same dtype, or transposed.
        transpose_b: bool. Whether it is, [...,P,N]. Default False.

    Returns:
        float32 [...,M,P].
    """
    if left.dtype == tf.float32 or not xla_works():
        product = tf.matmul(left, right, transpose_b=transpose_b)
        return tf.stop_gradient(tf.cast(product, tf.float32))
    columns = tf.shape(right)[-2 if transpose_b else -1]
    sizes = [[0, tf.maximum(_COLUMNS - columns, 0)], [0, 0]]
    paddings = [[0, 0]] * (right.shape.rank - 2)
    paddings += sizes if transpose_b else sizes[::-1]
    product = tf.matmul(
        left,
        tf.pad(right, paddings),
        transpose_b=transpose_b,
        output_type=tf.float32,
    )
    return tf.stop_gradient(product[..., :columns])


@functools.cache
def xla_works() -> bool:
    """Whether XLA makes kernels for this machine."""
    try:
        with tf.init_scope():
            twice = tf.function(
                lambda x: x + x, jit_compile=True, autograph=False
            )
            return float(twice(tf.constant(1.0))) == 2.0
    except (tf.errors.OpError, ValueError):
        return False
