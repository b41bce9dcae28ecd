"""Attention of tokens read one by one, to a ring that stays and to new ones.

A ring that is written at each token is copied at each token. Here it stays as
it is for a number of tokens, whose keys and values stand in a small buffer.

Axes: B batch, H heads, W width of a head, C context, F slots of the ring that
are filled, S tokens of the buffer.
"""

import math

import tensorflow as tf

from tflm.layers.rings import Pair

_NEVER = -1e9


class RingAhead:
    """A ring of keys and values, and the tokens that are read behind it.

    Args:
        ring: Pair of float32 [B,H,C,W], the keys and the values.
        slots: int32 [B,C]. The position that stands in each slot; below zero
            where there is none.
        begun: int32 [B]. Positions before the buffer's.
        count: int. Tokens of the buffer, S.
        dtype: Of the products.
        fixed: bool. Whether empty slots are kept, so that shapes depend on
            nothing but on shapes. Default False.

    Attributes:
        first: Pair of float [B,H,S,W], the buffer before the first token.
    """

    def __init__(
        self,
        ring: Pair,
        slots: tf.Tensor,
        begun: tf.Tensor,
        count: int,
        dtype: tf.DType,
        fixed: bool = False,
    ):
        keys, values = ring
        if not fixed:
            context = tf.shape(slots)[1]
            filled = tf.minimum(tf.reduce_max(begun, keepdims=True), context)[0]
            slots = slots[:, :filled]
            keys, values = keys[:, :, :filled], values[:, :, :filled]
        self.context = ring[0].shape[2]
        # Keys by column: the product with a single query is twice as fast.
        keys = tf.transpose(tf.cast(keys, dtype), [0, 1, 3, 2])
        self.ring = keys, tf.cast(values, dtype)  # [B,H,W,F], [B,H,F,W]
        new = begun[:, tf.newaxis] + tf.range(count)
        self.positions = tf.concat([slots, new], axis=1)  # [B,F+S]
        shape = tf.concat([tf.shape(ring[0])[:2], [count, keys.shape[2]]], 0)
        self.first = tf.zeros(shape, dtype), tf.zeros(shape, dtype)

    def attend(
        self,
        queries: tf.Tensor,
        new: Pair,
        buffer: Pair,
        position: tf.Tensor,
        time: tf.Tensor,
    ) -> tuple[tf.Tensor, Pair]:
        """One token of every row: what it attends to, and the buffer with it.

        Args:
            queries: float [B,H,1,W].
            new: Pair of float [B,H,1,W], the token's keys and values.
            buffer: Pair of float [B,H,S,W].
            position: int32 [B], the token's.
            time: int32, scalar. The token's place in the buffer.

        Returns:
            float [B,H,1,W], and the buffer.
        """
        now = tf.range(tf.shape(buffer[0])[2])[:, tf.newaxis] == time  # [S,1]
        keys, values = (
            tf.where(now, one, old)
            for one, old in zip(new, buffer, strict=True)
        )
        scores = tf.concat(
            [
                tf.matmul(queries, self.ring[0]),
                tf.matmul(queries, keys, transpose_b=True),
            ],
            axis=3,
        )  # [B,H,1,F+S]
        scores = tf.cast(scores, tf.float32) / math.sqrt(queries.shape[-1])
        distance = position[:, tf.newaxis] - self.positions  # [B,F+S]
        seen = (self.positions >= 0) & (distance >= 0)
        seen &= distance < self.context
        seen = seen[:, tf.newaxis, tf.newaxis]
        weights = tf.nn.softmax(tf.where(seen, scores, _NEVER))
        weights = tf.cast(weights, values.dtype)
        filled = tf.shape(self.ring[1])[2]
        mixed = tf.matmul(weights[..., :filled], self.ring[1])
        mixed += tf.matmul(weights[..., filled:], values)
        return mixed, (keys, values)
