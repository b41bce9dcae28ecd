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
from tflm.layers.dense import dense, product_and_bias

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
        norm: Optional LayerNorm whose `normalize` gave the inputs.
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
        angles = (
            rotation(positions, inputs.shape[-1] // self.num_heads)
            if self.rotary
            else None
        )
        queries, keys, values = self._split(inputs, angles, norm, training)
        key_positions = positions
        there = mask
        after = None
        if ring is not None:
            new = tuple(_heads_inside(part) for part in (keys, values))
            after = self._turn(ring, new, position, mask)
            slots, filled = self._slots(position)  # [B,C]
            keys, values = (
                tf.concat([tf.cast(_heads_inside(old), part.dtype), part], 2)
                for old, part in zip(ring, (keys, values), strict=True)
            )  # [B,H,K,W]
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
        if training:
            mixed = self._attend(queries, keys, values, seen)
        else:
            scale = 1 / math.sqrt(queries.shape[-1])
            scores = tf.matmul(queries, keys, transpose_b=True)
            scores = tf.cast(scores, tf.float32) * scale
            weights = tf.nn.softmax(tf.where(seen[:, None], scores, _NEVER))
            mixed = tf.matmul(tf.cast(weights, values.dtype), values)
        mixed = tf.reshape(_heads_inside(mixed), [batch, time, width])
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

    def _split(
        self,
        inputs: tf.Tensor,
        angles: tuple[tf.Tensor, tf.Tensor] | None,
        norm: keras.layers.LayerNormalization | None,
        training: bool | None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Queries, keys and values, [B,H,T,W]."""
        if training:
            joined, bias = product_and_bias(self.projection, inputs, norm)
            return kernels.split_heads(joined, bias, self.num_heads, angles)
        joined = self.projection(inputs)  # [B,T,3D]
        batch, time, width = tf.unstack(tf.shape(inputs))
        shape = [batch, time, 3, self.num_heads, width // self.num_heads]
        joined = tf.transpose(tf.reshape(joined, shape), [2, 0, 3, 1, 4])
        queries, keys, values = tf.unstack(joined)
        if angles is not None:
            queries, keys = (
                tf.cast(
                    kernels.turn(tf.cast(part, tf.float32), *angles), part.dtype
                )
                for part in (queries, keys)
            )
        return queries, keys, values

    def _attend(
        self,
        queries: tf.Tensor,
        keys: tf.Tensor,
        values: tf.Tensor,
        seen: tf.Tensor,
    ) -> tf.Tensor:
        """In training, with dropout; [B,H,T,W]."""
        kept = None
        if self.dropout:
            shape = [*tf.unstack(tf.shape(queries)[:3]), tf.shape(keys)[2]]
            kept = self.drop(tf.ones(shape, queries.dtype), training=True)
        return kernels.attend(queries, keys, values, seen, kept)

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


def _heads_inside(vectors: tf.Tensor) -> tf.Tensor:
    """[B,H,T,W] as [B,T,H,W], and back."""
    return tf.transpose(vectors, [0, 2, 1, 3])


def rotation(positions: tf.Tensor, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine of angles that grow with the position.

    Args:
        positions: int32 [B,T] or [1,T].
        width: int. Of a head, W, even.

    Returns:
        Two float32 [B,1,T,W/2] or [1,1,T,W/2], see `kernels.turn`. The angles
        are computed in float64.
    """
    half = width // 2
    speeds = _WAVELENGTH ** (-np.arange(half) / half)  # radians a position
    angles = tf.cast(positions, tf.float64)[:, None, :, None] * speeds
    return tuple(tf.cast(f(angles), tf.float32) for f in (tf.cos, tf.sin))
