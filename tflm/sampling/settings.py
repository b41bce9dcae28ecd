"""The settings of generation, checked, and their values for each row.

A setting is one number for all rows or one number a row, so that requests
with different settings share a batch. Axes: B batch.
"""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tflm.generation_settings import SETTINGS
from tflm.sampling.seeds import row_seeds


class RowSettings(NamedTuple):
    """How each row is sampled, every field of shape [B]."""

    temperature: tf.Tensor  # float32[B]; 0 is greedy
    top_k: tf.Tensor  # int32[B]; 0 is off
    top_p: tf.Tensor  # float32[B]; 1 is off
    seed: tf.Tensor  # int32[B]; every row has its own


def row_settings(
    batch_size: int | tf.Tensor,
    *,
    temperature: Any = 1.0,
    top_k: Any = 0,
    top_p: Any = 1.0,
    seed: Any = -1,
) -> RowSettings:
    """Checks the settings of sampling and gives every row its own.

    Args:
        batch_size: Number of rows, int or int32 scalar.
        temperature: float32, scalar or [B]: divides the logits; 0 is greedy.
        top_k: int32, scalar or [B]: how many tokens to draw from; 0 is off.
        top_p: float32, scalar or [B]: the probability to draw from; 1 is off.
        seed: int32, scalar or [B], see `row_seeds`.

    Returns:
        `RowSettings` of tensors [B].

    Raises:
        tf.errors.InvalidArgumentError: If a value breaks its rule, also from
            inside a graph.

    Example:
    >>> row_settings(2, temperature=[0.0, 0.5], seed=7).seed.numpy().tolist()
    [7, 8]
    """
    seed = checked_rows("seed", seed, batch_size, broadcast=False)
    return RowSettings(
        checked_rows("temperature", temperature, batch_size),
        checked_rows("top_k", top_k, batch_size),
        checked_rows("top_p", top_p, batch_size),
        row_seeds(seed, batch_size),
    )


def checked_rows(
    name: str,
    value: Any,
    batch_size: int | tf.Tensor,
    broadcast: bool = True,
    most: int | None = None,
) -> tf.Tensor:
    """The values [B] of one of `SETTINGS`, once they are found to be sound.

    The values come out of the check itself, so that no graph can use them and
    leave the check out.

    Args:
        name: Name of the setting.
        value: One number or [B] of them; a tensor may have unknown rank.
        batch_size: Number of rows, int or int32 scalar.
        broadcast: Whether one number becomes [B]; otherwise it stays one.
        most: Optional int: the largest number allowed, if the rule's own is
            not to hold.

    Returns:
        Tensor [B] of the setting's type.

    Raises:
        tf.errors.InvalidArgumentError: If a value breaks the rule or there is
            neither one value nor one a row.

    Example:
    >>> checked_rows("top_k", 5, batch_size=3).numpy().tolist()
    [5, 5, 5]
    """
    value = as_tensor(name, value)
    rows = tf.convert_to_tensor(batch_size)
    checked = _check_of(name, most)(value, rows)
    checked = tf.ensure_shape(checked, value.shape)
    return tf.broadcast_to(checked, [batch_size]) if broadcast else checked


def as_tensor(name: str, value: Any) -> tf.Tensor:
    """A value of one of `SETTINGS` as a tensor of its type.

    Args:
        name: Name of the setting.
        value: A number, an array or a tensor.

    Returns:
        The tensor, whose values are not checked.

    Raises:
        tf.errors.InvalidArgumentError: If an integer does not fit the type:
            TensorFlow would make another number of it.

    Example:
    >>> as_tensor("top_k", 5).dtype
    tf.int32
    """
    dtype = tf.as_dtype(SETTINGS[name].dtype)
    parts = tf.nest.flatten(value) if dtype.is_integer else []
    given = [np.ravel(part) for part in parts if not tf.is_tensor(part)]
    for number in itertools.chain(*given):
        if not dtype.min <= number <= dtype.max:
            rule = f"`{name}` must be {SETTINGS[name].rule}. "
            received = f"Received: {name}={number}"
            raise tf.errors.InvalidArgumentError(None, None, rule + received)
    return tf.convert_to_tensor(value, dtype)


@functools.cache
def _check_of(
    name: str, most: int | None
) -> tf.types.experimental.PolymorphicFunction:
    """The check of a setting, traced once for all graphs that have it."""
    setting = SETTINGS[name]
    rule = setting.rule
    if most is not None:
        rule = f"from 0 to {most}"

    def check(value: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
        rank = tf.rank(value)
        one_a_row = tf.equal(rank, 1) & tf.equal(tf.size(value), batch_size)
        fits = tf.equal(rank, 0) | one_a_row
        holds = setting.holds(value)
        if most is not None:
            holds &= value <= most

        rows = f"`{name}` must be one number or one a row. Received: shape="
        values = f"`{name}` must be {rule}. Received: {name}="

        def refuse() -> tf.Tensor:
            places = tf.where(~tf.reshape(holds, [-1]))  # [N,1]
            wrong = tf.gather_nd(tf.reshape(value, [-1]), places)  # [N]
            expected = "for a number of rows of", batch_size
            checks = [
                _assert(fits, (rows, tf.shape(value), *expected)),
                _assert(tf.size(wrong) == 0, (values, wrong)),
            ]
            with tf.control_dependencies(checks):
                return tf.identity(value)

        return tf.cond(fits & tf.reduce_all(holds), lambda: value, refuse)

    numbers = tf.TensorSpec(None, setting.dtype)
    signature = [numbers, tf.TensorSpec([], tf.int32)]
    return tf.function(check, input_signature=signature, autograph=False)


def _assert(condition: tf.Tensor, message: tuple) -> tf.Operation:
    data = [tf.convert_to_tensor(part) for part in message]
    return tf.raw_ops.Assert(condition=condition, data=data, summarize=3)
