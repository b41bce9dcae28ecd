"""Element-wise code as one kernel, where XLA works."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def fused(function: Callable) -> Callable:
    """The function as one kernel, where XLA works; as it is elsewhere."""
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        # Asked for when it is called: TensorFlow is not started by an import.
        chosen = compiled if xla_works() else function
        return chosen(*arguments, **keywords)

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
    return functools.cache(lambda part: _another(function))


def fused_apart(function: Callable) -> Callable:
    """The function as a kernel that, in a graph, no other call of this gives.

    For what adds up many numbers, see `fused_by_part`, where operations may run
    side by side for other reasons than parts. Outside of graphs none do, and
    there is one kernel.

    >>> fused_apart(tf.reduce_sum) is fused_apart(tf.reduce_sum)
    True
    >>> with tf.Graph().as_default():
    ...     fused_apart(tf.reduce_sum) is fused_apart(tf.reduce_sum)
    False
    """
    return _once(function) if tf.executing_eagerly() else _another(function)


def _another(function: Callable) -> Callable:
    traced = _traced(function)
    return fused(lambda *arguments, **keywords: traced(*arguments, **keywords))


_once = functools.cache(_another)


@functools.cache
def _traced(function: Callable) -> Callable:
    """Traced once for all kernels of the function."""
    return tf.function(function, autograph=False)


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
