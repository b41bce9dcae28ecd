"""Element-wise code as one kernel, where XLA works."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def fused(function: Callable) -> Callable:
    """The function as one kernel, where XLA works; as it is elsewhere."""
    compiled = tf.function(function, jit_compile=True)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        # Asked for when it is called: TensorFlow is not started by an import.
        return (compiled if xla_works() else function)(*arguments)

    return call


@functools.cache
def xla_works() -> bool:
    """Whether XLA makes kernels for this machine."""
    try:
        with tf.init_scope():
            twice = tf.function(lambda x: x + x, jit_compile=True)
            return float(twice(tf.constant(1.0))) == 2.0
    except (tf.errors.OpError, ValueError):
        return False
