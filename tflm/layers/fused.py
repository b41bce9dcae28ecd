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
    traced = tf.function(function, autograph=False)  # once for all parts
    return functools.cache(lambda part: _another(traced))


def fused_apart(function: Callable) -> Callable:
    """The function as a kernel that, in a graph, no other call of this gives.

    For what adds up many numbers, see `fused_by_part`, where operations may run
    side by side for other reasons than parts. Outside of graphs none do, and
    there is one kernel. The function is traced once, and kept for good.

    >>> fused_apart(tf.reduce_sum) is fused_apart(tf.reduce_sum)
    True
    >>> with tf.Graph().as_default():
    ...     fused_apart(tf.reduce_sum) is fused_apart(tf.reduce_sum)
    False
    """
    if tf.executing_eagerly():
        return _once(function)
    return _another(_traced(function))


def _another(traced: Callable) -> Callable:
    return fused(lambda *arguments, **keywords: traced(*arguments, **keywords))


@functools.cache
def _once(function: Callable) -> Callable:
    return _another(_traced(function))


@functools.cache
def _traced(function: Callable) -> Callable:
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
