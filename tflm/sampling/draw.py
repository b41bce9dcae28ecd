"""The choice of the next ids. Axes: B batch, V vocabulary."""

import tensorflow as tf
import tensorflow_probability as tfp

from tflm.sampling.filters import filter_logits
from tflm.sampling.settings import RowSettings


def sample(
    logits: tf.Tensor,
    positions: tf.Tensor,
    settings: RowSettings,
    min_p: float = 0.0,
    numbers: tf.Tensor | None = None,
    fixed: bool = False,
) -> tf.Tensor:
    """Chooses every row's next id by its own settings.

    A row's choice depends on nothing but its own logits, position and
    settings: not on the other rows, nor on how many they are.

    Args:
        logits: float32[B,V], -inf where an id is out, see `Constraints`.
        positions: int32[B], the tokens read when the logits were computed.
        settings: Settings of each row, from `row_settings`.
        min_p: float, for all rows, see `keep_min_p`. Default 0: off.
        numbers: Optional float64[B], what `uniforms` gives for these
            positions: the choice is the same, and faster. Default None.
        fixed: bool. See `filter_logits`. Default False.

    Returns:
        int32[B].

    Example:
    >>> from tflm.sampling import row_settings
    >>> logits = tf.math.log([[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]])
    >>> settings = row_settings(2, temperature=[0.0, 1.0], top_k=1)
    >>> sample(logits, tf.constant([1, 1]), settings).numpy().tolist()
    [1, 1]
    """
    likeliest = greedy(logits)
    random = settings.temperature > 0

    def drawn() -> tf.Tensor:
        narrowed = filter_logits(logits, settings, min_p, fixed)
        if numbers is None:
            ids = draw(narrowed, settings.seed, positions)
        else:
            ids = draw_by(narrowed, numbers)
        return tf.where(random, ids, likeliest)

    return tf.cond(tf.reduce_any(random), drawn, lambda: likeliest)


def greedy(logits: tf.Tensor) -> tf.Tensor:
    """The id of the highest logit of each row [B,V], the lowest of equals.

    >>> greedy(tf.constant([[1.0, 5.0, 5.0]])).numpy().tolist()
    [1]
    """
    # Of equal values argmax promises no particular one, top_k the first.
    return tf.math.top_k(logits, k=1).indices[:, 0]  # [B]


def draw(
    logits: tf.Tensor, seeds: tf.Tensor, positions: tf.Tensor
) -> tf.Tensor:
    """Draws an id from each row, as TensorFlow Probability does from it alone.

    Args:
        logits: float32[B,V].
        seeds: int32[B].
        positions: int32[B], the second half of the seed, so that the draws of
            one text differ.

    Returns:
        int32[B].

    Example:
    >>> certain = tf.constant([[-1e9, 0.0], [0.0, -1e9]])
    >>> draw(certain, tf.constant([3, 4]), tf.constant([1, 1])).numpy().tolist()
    [1, 0]
    """

    def draw_row(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        logits, seed, position = row
        distribution = tfp.distributions.Categorical(logits=logits)
        return distribution.sample(seed=tf.stack([seed, position]))

    # Row by row: a draw from a batch depends on the size of the batch.
    return tf.map_fn(
        draw_row, (logits, seeds, positions), fn_output_signature=tf.int32
    )


def draw_by(logits: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Draws as `draw` does, by numbers that were worked out before.

    Args:
        logits: float32[B,V].
        numbers: float64[B], from `uniforms` with the seeds and positions.

    Returns:
        int32[B]. V, which is no id, for a row that has no probabilities.

    Example:
    >>> from tflm.sampling import uniforms
    >>> logits, seeds = tf.zeros([2, 9]), tf.constant([3, 4])
    >>> positions = tf.constant([1, 1])
    >>> [numbers] = uniforms(seeds, positions)
    >>> same = draw_by(logits, numbers) == draw(logits, seeds, positions)
    >>> same.numpy().tolist()
    [True, True]
    """
    logits = tf.cast(logits, tf.float64)
    shares = tf.exp(logits - tf.reduce_max(logits, axis=1, keepdims=True))
    sums = tf.cumsum(shares, axis=1)  # [B,V]
    found = numbers[:, tf.newaxis] * sums[:, -1:]
    return tf.math.count_nonzero(~(sums > found), axis=1, dtype=tf.int32)
