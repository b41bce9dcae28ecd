"""Gumbel noise: the highest of perturbed log-probabilities is a draw.

Axes: B batch, K beams, V vocabulary.
"""

import functools

import tensorflow as tf

_NEVER = float("-inf")
_HALF = 0.6931472  # the logarithm of 2


def noise(
    shape: tf.Tensor, seeds: tf.Tensor, positions: tf.Tensor
) -> tf.Tensor:
    """Standard Gumbel noise for the beams of each row, from its seed alone.

    Args:
        shape: int32 [3]: B, K and V.
        seeds: int32[B].
        positions: int32[B], the second half of the seed.

    Returns:
        float32[B,K,V]. The noise of a beam depends neither on the other rows
        nor on how many beams there are.

    Example:
    >>> shape = tf.constant([1, 2, 3])
    >>> noise(shape, tf.constant([5]), tf.constant([9])).shape
    TensorShape([1, 2, 3])
    """
    return _traced()(shape, seeds, positions)


@functools.cache
def _traced() -> tf.types.experimental.PolymorphicFunction:
    """`noise`, traced once for all graphs that have it."""
    numbers = tf.TensorSpec([None], tf.int32)
    return tf.function(
        _noise,
        input_signature=[tf.TensorSpec([3], tf.int32), numbers, numbers],
        autograph=False,
    )


def _noise(
    shape: tf.Tensor, seeds: tf.Tensor, positions: tf.Tensor
) -> tf.Tensor:
    batch, width, size = tf.unstack(shape)

    def of_beam(beam: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        seed, position, number = beam
        return tf.random.stateless_uniform(
            [size],
            tf.random.experimental.stateless_fold_in(
                tf.stack([seed, position]), number
            ),
            minval=1e-38,
            alg="philox",
        )

    beams = (
        tf.repeat(seeds, width),
        tf.repeat(positions, width),
        tf.tile(tf.range(width), [batch]),
    )
    uniform = tf.map_fn(
        of_beam,
        beams,
        fn_output_signature=tf.TensorSpec([None], tf.float32),
    )
    return -tf.math.log(-tf.math.log(tf.reshape(uniform, shape)))


def with_maximum(perturbed: tf.Tensor, maximum: tf.Tensor) -> tf.Tensor:
    """Gumbel variables given that their maximum is what it has to be.

    Args:
        perturbed: float32[B,K,V]: log-probabilities and noise.
        maximum: float32[B,K]: what the highest of each beam becomes.

    Returns:
        float32[B,K,V]; -inf where it was, and in beams whose maximum is -inf.

    Reference: Kool, van Hoof and Welling, 2019, appendix B.3,
    https://arxiv.org/abs/1903.06059.

    Example:
    >>> moved = with_maximum(tf.constant([[[0.0, 2.0]]]), tf.constant([[1.0]]))
    >>> moved.numpy().round(3)
    array([[[-0.209,  1.   ]]], dtype=float32)
    """
    highest = tf.reduce_max(perturbed, axis=2, keepdims=True)  # [B,K,1]
    there = (perturbed > _NEVER) & (maximum > _NEVER)[:, :, tf.newaxis]
    below = tf.where(there, perturbed - highest, 0)  # at most 0
    top = tf.where(there, maximum[:, :, tf.newaxis], 0)
    raised = tf.where(there, perturbed, 0)
    gap = top - raised + _log1mexp(below)
    moved = top - tf.nn.relu(gap) - tf.math.log1p(tf.exp(-tf.abs(gap)))
    return tf.where(there, moved, _NEVER)


def _log1mexp(x: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(x)) for x of at most 0, exact at both ends."""
    near = tf.math.log(-tf.math.expm1(x))
    return tf.where(x > -_HALF, near, tf.math.log1p(-tf.exp(x)))
