"""Causal attention to the last positions, with a ring of keys and values.

Axes: B batch, T time, D width, H heads, W width of a head, C context,
K keys (those of the ring and the new ones).
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm.layers import kernels
from tflm.layers.dense import dense

_WAVELENGTH = 10_000.0
_NEVER = -1e9


@keras.saving.register_keras_serializable(package="tflm")
class CachedAttention(keras.layers.Layer):
    """Multi-head attention to the last `context` positions, itself included.

    Keys and queries are turned by rotary positions, whose angles are computed
    in float64 from the absolute position, so that they hold at any position.
    The state is a ring: position p stands in slot `p % context`.

    Args:
        num_heads: int. Heads, H; they divide the width of the inputs.
        context: int. Positions attended to, C.
        dropout: float. Share of the attention's weights dropped. Default 0.
        rotary: bool. Whether positions are told at all. Default True.
        **kwargs: Keras's own layer arguments (`name`, `dtype`).

    Call arguments:
        inputs: float [B,T,D].
        positions: int32 [B,T] or [1,T]. Absolute positions; a masked one's is
            any.
        mask: Optional bool [B,T]. Default None: every position counts.
        ring: Optional pair of float32 [B,C,H,W]: the keys and the values of
            earlier positions. Default None: there are none, and none are
            returned.
        position: int32 [B]. Positions before this call; goes with `ring`.
        norm: Optional LayerNorm that the inputs go through first.
        training: Optional bool, for dropout.

    Returns:
        A pair: outputs float [B,T,D], and the ring after the last position,
        or None.

    Reference: Su et al., 2021, https://arxiv.org/abs/2104.09864.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        context: int,
        dropout: float = 0.0,
        rotary: bool = True,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.num_heads = num_heads
        self.context = context
        self.dropout = dropout
        self.rotary = rotary
        self.supports_masking = True

    def build(self, input_shape: tuple[Any, ...]) -> None:
        # Layers
        width = input_shape[-1]
        policy = self.dtype_policy
        self.projection = keras.layers.Dense(
            3 * width, dtype=policy, name="projection"
        )
        self.projection.build(input_shape)
        self.output_projection = keras.layers.Dense(
            width, dtype=policy, name="output_projection"
        )
        self.output_projection.build(input_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=policy)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        positions: tf.Tensor,
        mask: tf.Tensor | None = None,
        ring: tuple[tf.Tensor, tf.Tensor] | None = None,
        position: tf.Tensor | None = None,
        norm: keras.layers.LayerNormalization | None = None,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor] | None]:
        # Forward graph
        batch, time, width = tf.unstack(tf.shape(inputs))
        heads = self.num_heads
        joined = dense(self.projection, inputs, training, norm)  # [B,T,3D]
        joined = tf.reshape(joined, [batch, time, 3, heads, width // heads])
        queries, keys, values = tf.unstack(joined, axis=2)  # [B,T,H,W]
        if self.rotary:
            queries = rotate(queries, positions, training)
            keys = rotate(keys, positions, training)
        key_positions = positions
        there = mask
        after = None
        if ring is not None:
            after = self._turn(ring, (keys, values), position, mask)
            slots, filled = self._slots(position)  # [B,C]
            keys = tf.concat([tf.cast(ring[0], keys.dtype), keys], axis=1)
            values = tf.concat([tf.cast(ring[1], values.dtype), values], axis=1)
            key_positions = tf.concat(
                [slots, tf.broadcast_to(positions, [batch, time])], axis=1
            )  # [B,K]
            if mask is None:
                mask = tf.ones([batch, time], tf.bool)
            there = tf.concat([filled, mask], axis=1)
        distance = positions[:, :, None] - key_positions[:, None]  # [B,T,K]
        seen = (distance >= 0) & (distance < self.context)
        if there is not None:
            seen &= there[:, None]
        scores = tf.einsum("bthw,bkhw->bhtk", queries, keys)
        scale = 1 / math.sqrt(queries.shape[-1])
        if training:
            weights = kernels.attention_weights(scores, seen[:, None], scale)
        else:
            scores = tf.cast(scores, tf.float32) * scale
            weights = tf.nn.softmax(tf.where(seen[:, None], scores, _NEVER))
            weights = tf.cast(weights, values.dtype)
        weights = self.drop(weights, training=training)
        mixed = tf.einsum("bhtk,bkhw->bthw", weights, values)
        mixed = tf.reshape(mixed, [batch, time, width])  # [B,T,D]
        return dense(self.output_projection, mixed, training), after

    def compute_mask(self, *unused: Any, **also: Any) -> None:
        """None: a mask is an argument here, it does not travel on tensors."""

    def get_config(self) -> dict[str, Any]:
        # Config
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "context": self.context,
            "dropout": self.dropout,
            "rotary": self.rotary,
        }

    def _slots(self, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The position in each slot [B,C] before `position`; if there is."""
        newest = position[:, None] - 1  # [B,1]
        slots = newest - (newest - tf.range(self.context)) % self.context
        return slots, slots >= 0

    def _turn(
        self,
        ring: tuple[tf.Tensor, tf.Tensor],
        new: tuple[tf.Tensor, tf.Tensor],
        position: tf.Tensor,
        mask: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The ring with the new keys and values in their slots."""
        time = tf.shape(new[0])[1]
        if mask is None:
            count = tf.fill(tf.shape(position), time)  # [B]
        else:
            read = tf.cumsum(tf.cast(mask, tf.int32), axis=1)  # [B,T]
            count = read[:, -1]
        slots, _ = self._slots(position + count)  # [B,C]
        order = slots - position[:, None]  # among the new that are read
        if mask is not None:
            order = tf.searchsorted(read, order + 1)
        fresh = (slots >= position[:, None])[:, :, None, None]
        order = tf.clip_by_value(order, 0, time - 1)
        keys, values = (
            tf.where(
                fresh,
                tf.gather(tf.cast(values, tf.float32), order, batch_dims=1),
                old,
            )
            for values, old in zip(new, ring, strict=True)
        )
        return keys, values


def rotate(
    vectors: tf.Tensor, positions: tf.Tensor, training: bool | None = None
) -> tf.Tensor:
    """Turns pairs of a head's numbers by angles that grow with the position.

    Args:
        vectors: float [B,T,H,W], W even. Numbers i and i + W/2 are a pair.
        positions: int32 [B,T] or [1,T].
        training: Whether a kernel with its own gradient is taken.

    Returns:
        As `vectors`. The angles are computed in float64, the turn in float32.
    """
    half = vectors.shape[-1] // 2
    speeds = _WAVELENGTH ** (-np.arange(half) / half)  # radians a position
    angles = tf.cast(positions, tf.float64)[:, :, None, None] * speeds
    cosine = tf.cast(tf.cos(angles), tf.float32)  # [B,T,1,W/2]
    sine = tf.cast(tf.sin(angles), tf.float32)
    if training:
        return kernels.turn(vectors, cosine, sine)
    left, right = tf.split(tf.cast(vectors, tf.float32), 2, axis=-1)
    turned = tf.concat(
        [left * cosine - right * sine, right * cosine + left * sine], axis=-1
    )
    return tf.cast(turned, vectors.dtype)
