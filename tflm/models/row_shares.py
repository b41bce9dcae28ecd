"""Rows of a batch in parts, each of which one core works on by itself.

A product of some hundred rows is done in a fraction of a millisecond: to share
it out among cores costs as much in waiting as it saves. Where operations have
one thread each, the cores take parts of the rows instead, and wait for each
other once a batch. It takes as many copies of the model in the graph.

Axes: B batch.
"""

import math
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm.layers import made_once, row_part

# Cores at the most that are given parts of their own.
MOST_PARTS = 4


def part_count(batch_size: int | None) -> int:
    """Parts of a batch that are worked on side by side: a divisor of its rows.

    One, but on a CPU whose operations have one thread each.

    Args:
        batch_size: Optional int, B. None: it differs among the batches.

    Example:
    >>> part_count(None)
    1
    """
    if batch_size is None or not one_thread_each():
        return 1
    return math.gcd(batch_size, min(os.cpu_count() or 1, MOST_PARTS))


def one_thread_each() -> bool:
    """Whether operations have one thread each, so that cores need parts.

    This is TensorFlow's setting `intra_op_parallelism_threads`; on a GPU it
    does not count.

    >>> one_thread_each()
    False
    """
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return threads == 1 and not tf.config.list_physical_devices("GPU")


def side_by_side(function: Callable, parts: int, *rows: Any) -> Any:
    """A function's results for parts of the rows, joined.

    Args:
        function: Takes tensors [P,...] in any structure, gives some.
        parts: int. They divide B; P is the rows of one.
        *rows: Its arguments: tensors [B,...] in any structure, or None.

    Returns:
        What the function gives, of all the rows.

    Example:
    >>> side_by_side(tf.math.cumsum, 2, tf.ones([4])).numpy().tolist()
    [1.0, 2.0, 1.0, 2.0]
    """
    if parts == 1:
        return function(*rows)

    def of_part(part: int) -> Any:
        own = tf.nest.map_structure(
            lambda t: None if t is None else tf.split(t, parts)[part], rows
        )
        with row_part.working_on(part):
            return function(*own)

    with made_once.sharing():
        results = [of_part(part) for part in range(parts)]
    return tf.nest.map_structure(
        lambda *tensors: tf.concat(tensors, axis=0), *results
    )
