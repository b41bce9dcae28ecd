"""The random numbers behind the draws, for many positions at once.

TensorFlow draws an id from a row by one uniform number, which its generator
Philox makes of a seed. The operation takes a single seed; here the same numbers
come for all rows and for many positions ahead, in a few integer operations.

Axes: B batch, S positions.
"""

import functools

import numpy as np
import tensorflow as tf

_HALF, _LOW = 32, 0xFFFFFFFF  # bits of a word, and a mask of them
_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_INCREMENTS = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_ROUNDS = 10
# What TensorFlow scrambles seeds with.
_SCRAMBLER = np.array([0x3EC8F720, 0x02461E29], np.uint64)
_MANTISSA = 20, 52  # bits of a float64's: in its upper word, and in all


def uniforms(
    seeds: tf.Tensor, positions: tf.Tensor, count: int = 1
) -> tf.Tensor:
    """What `tfp.distributions.Categorical` draws by, at following positions.

    Args:
        seeds: int32[B].
        positions: int32[B], the first of them.
        count: int. How many of them, S. Default 1.

    Returns:
        float64[S,B], at least 0 and less than 1: for `draw_by`.

    Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
    2011, https://doi.org/10.1145/2063384.2063405 (Philox4x32-10).

    Example:
    >>> uniforms(tf.constant([3, 4]), tf.constant([1, 7]), 5).shape
    TensorShape([5, 2])
    """
    return _traced(count)(seeds, positions)


@functools.cache
def _traced(count: int) -> tf.types.experimental.PolymorphicFunction:
    """`uniforms`, traced once for all graphs that have it."""
    numbers = tf.TensorSpec([None], tf.int32)
    return tf.function(
        functools.partial(_uniforms, count),
        input_signature=[numbers, numbers],
        autograph=False,
    )


def _uniforms(count: int, seeds: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    positions = positions + tf.range(count)[:, tf.newaxis]  # [S,B]
    seeds = tf.broadcast_to(seeds, tf.shape(positions))
    even, odd = _words(tf.stack([seeds, positions]))  # [2,S,B] each
    key = tf.reshape(tf.constant(_SCRAMBLER), [2, 1, 1])
    even, odd = _philox(even, odd, key)
    # The scrambled seed: two words of a key, two of a counter.
    counter, nothing = tf.stack([even[1], odd[1]]), tf.zeros_like(even[0])
    even, odd = _philox(
        tf.stack([nothing, counter[0]]),
        tf.stack([nothing, counter[1]]),
        tf.stack([even[0], odd[0]]),
    )
    upper_bits, bits = _MANTISSA
    upper = even[0] & np.uint64(2**upper_bits - 1)
    mantissa = tf.bitwise.left_shift(upper, np.uint64(_HALF)) | odd[0]
    return tf.cast(mantissa, tf.float64) * 2.0**-bits


def _words(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The lower and the upper half of int32 numbers in 64 bits, as uint64."""
    wide = tf.cast(tf.cast(numbers, tf.int64), tf.uint64)
    return wide & np.uint64(_LOW), _upper(wide)


def _upper(numbers: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.right_shift(numbers, np.uint64(_HALF))


def _philox(
    even: tf.Tensor, odd: tf.Tensor, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Words 0 and 2, and words 1 and 3, [2,S,B], of a block of Philox."""
    multipliers = tf.reshape(tf.constant(_MULTIPLIERS), [2, 1, 1])
    increments = tf.reshape(tf.constant(_INCREMENTS), [2, 1, 1])
    for _ in range(_ROUNDS):
        products = tf.reverse(even * multipliers, [0])
        even = _upper(products) ^ odd ^ key
        odd = products & np.uint64(_LOW)
        key = (key + increments) & np.uint64(_LOW)
    return even, odd
