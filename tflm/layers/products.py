"""Products of bfloat16 made by XLA, which are not rounded again."""

import tensorflow as tf

from tflm import processor
from tflm.layers import row_part
from tflm.layers.fused import xla_works

# XLA leaves a product to YNNPACK, which is fast, from 17 columns on: it takes
# no longer for 32 than for 17, and less than XLA itself for fewer.
_COLUMNS = 32


def are_faster(dtype: tf.DType) -> bool:
    """Whether they are faster than TensorFlow's.

    They are with AMX, where a product has tens of columns or thousands of rows,
    and the operations before and behind it in the same kernel. But they are
    made for all cores: where each core has a part of the rows, the parts would
    wait for each other.

    >>> are_faster(tf.float32)
    False
    """
    return (
        dtype == tf.bfloat16
        and processor.has("amx_bf16")
        and row_part.is_whole()
        and xla_works()
    )


def matmul(
    left: tf.Tensor, right: tf.Tensor, transpose_b: bool = False
) -> tf.Tensor:
    """A product of bfloat16 in float32, inside of a kernel of XLA.

    It has no gradient: it is for code that has one of its own.

    Args:
        left: bfloat16 [...,M,N].
        right: bfloat16 [...,N,P], or transposed.
        transpose_b: bool. Whether it is, [...,P,N]. Default False.

    Returns:
        float32 [...,M,P].

    Example:
    >>> two = tf.cast([[2.0]], tf.bfloat16)
    >>> tf.function(matmul, jit_compile=True)(two, two).numpy().tolist()
    [[4.0]]
    """
    columns = tf.shape(right)[-2 if transpose_b else -1]
    more = [[0, tf.maximum(_COLUMNS - columns, 0)], [0, 0]]
    paddings = [[0, 0]] * (right.shape.rank - 2)
    paddings += more if transpose_b else more[::-1]
    product = tf.matmul(
        left,
        tf.pad(right, paddings),
        transpose_b=transpose_b,
        output_type=tf.float32,
    )
    # TensorFlow cannot make the gradient, which it would do outside of graphs.
    return tf.stop_gradient(product[..., :columns])
