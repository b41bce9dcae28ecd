"""Causal attention to the last positions, with a ring of keys and values.

Axes: B batch, T time, D width, H heads, W width of a head, C context,
K keys (those of the ring and the new ones).
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm.layers import heads, rings, single_queries
from tflm.layers.dense import Product, dense, product_and_bias

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
        rotary: bool. Whether queries and keys are turned by their position.
            Default True.
        **kwargs: Keras's own layer arguments (`name`, `dtype`).

    Call arguments:
        inputs: float [B,T,D].
        positions: int32 [B,T] or [1,T]. Absolute positions; a masked one's is
            any.
        mask: Optional bool [B,T]. Default None: every position counts.
        ring: Optional pair of float32 [B,H,C,W]: the keys and the values of
            earlier positions. Default None: there are none, and none are
            returned.
        position: int32 [B]. Positions before this call; goes with `ring`.
        norm: Optional LayerNorm whose `normalize` gave the inputs.
        ahead: Optional, takes queries, keys and values of one position,
            [B,H,1,W] each, and gives what is attended to and what to return
            for the ring, see `rings_ahead`.
        products: Optional, of the two projections, see `dense`.
        training: Optional bool, for dropout.

    Returns:
        A pair: outputs float [B,T,D], and the ring after the last position,
        or None.

    Example:
    >>> attention = CachedAttention(num_heads=2, context=3)
    >>> inputs = tf.random.normal([1, 4, 8])
    >>> outputs, ring = attention(inputs, tf.range(4)[tf.newaxis])
    >>> outputs.shape, ring
    (TensorShape([1, 4, 8]), None)

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
        ring: rings.Pair | None = None,
        position: tf.Tensor | None = None,
        norm: keras.layers.LayerNormalization | None = None,
        ahead: Callable | None = None,
        products: tuple[Product | None, ...] = (None, None),
        training: bool | None = None,
    ) -> tuple[tf.Tensor, rings.Pair | None]:
        # Forward graph
        queries, keys, values = self._split(
            inputs, positions, norm, products[0], training
        )
        if ahead is not None:
            mixed, after = ahead(queries, keys, values)
        else:
            mixed, after = self._mix(
                (queries, keys, values),
                positions,
                mask,
                ring,
                position,
                training,
            )
        mixed = tf.reshape(_exchanged(mixed), tf.shape(inputs))
        layer = self.output_projection
        return dense(layer, mixed, training, products[1]), after

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

    def _mix(
        self,
        parts: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        positions: tf.Tensor,
        mask: tf.Tensor | None,
        ring: rings.Pair | None,
        position: tf.Tensor | None,
        training: bool | None,
    ) -> tuple[tf.Tensor, rings.Pair | None]:
        """What is attended to, [B,H,T,W], and the ring after."""
        queries, keys, values = parts
        after = None
        if ring is None or position is None:
            seen = self._seen(positions, positions, mask)
        elif queries.shape[2] == 1 and not training:
            after = rings.written(ring, (keys, values), position, mask)
            keys, values = after
            filled = tf.range(self.context) <= position[:, None]  # [B,C]
            seen = filled[:, None]
        else:
            after = rings.turned(ring, (keys, values), position, mask)
            keys, values = (
                tf.concat([tf.cast(old, part.dtype), part], axis=2)
                for old, part in zip(ring, (keys, values), strict=True)
            )  # [B,H,K,W]
            seen = self._seen_behind(positions, position, mask)
        if training:
            return self._attend(queries, keys, values, seen), after
        return _mixed(queries, keys, values, seen), after

    def _split(
        self,
        inputs: tf.Tensor,
        positions: tf.Tensor,
        norm: keras.layers.LayerNormalization | None,
        product: Product | None,
        training: bool | None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Queries, keys and values, [B,H,T,W]."""
        width = inputs.shape[-1] // self.num_heads
        angles = rotation(positions, width) if self.rotary else None
        if training:
            joined, bias = product_and_bias(self.projection, inputs, norm)
            return heads.split_heads(joined, bias, self.num_heads, angles)
        joined = dense(self.projection, inputs, training, product)  # [B,T,3D]
        batch, time, _ = tf.unstack(tf.shape(inputs))
        joined = tf.reshape(joined, [batch, time, 3 * self.num_heads, width])
        joined = _exchanged(joined)  # [B,3H,T,W]
        turned, values = tf.split(
            joined, [2 * self.num_heads, self.num_heads], axis=1
        )
        if angles is not None:
            turned = heads.turn(tf.cast(turned, tf.float32), *angles)
            turned = tf.cast(turned, values.dtype)
        queries, keys = tf.split(turned, 2, axis=1)
        return queries, keys, values

    def _seen(
        self,
        positions: tf.Tensor,
        key_positions: tf.Tensor,
        there: tf.Tensor | None,
    ) -> tf.Tensor:
        """Which keys a position sees, [B,T,K]."""
        distance = positions[:, :, None] - key_positions[:, None]
        seen = (distance >= 0) & (distance < self.context)
        return seen if there is None else seen & there[:, None]

    def _seen_behind(
        self, positions: tf.Tensor, position: tf.Tensor, mask: tf.Tensor | None
    ) -> tf.Tensor:
        """The same of the ring's keys and the new ones."""
        slots = rings.slots(position, self.context)  # [B,C]
        shape = [tf.shape(position)[0], tf.shape(positions)[1]]
        if mask is None:
            mask = tf.ones(shape, tf.bool)
        positions = tf.broadcast_to(positions, shape)  # [B,T]
        return self._seen(
            positions,
            tf.concat([slots, positions], axis=1),
            tf.concat([slots >= 0, mask], axis=1),
        )

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
        return heads.attend(queries, keys, values, seen, kept)


def _mixed(
    queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, seen: tf.Tensor
) -> tf.Tensor:
    """Outside of training; [B,H,T,W], as `heads.attend`."""
    dtype, seen = queries.dtype, seen[:, tf.newaxis]
    keys, values = tf.cast(keys, dtype), tf.cast(values, dtype)
    if queries.shape[2] == 1:
        scores = single_queries.scores(queries, keys, transpose_keys=True)
        scores = tf.where(seen, scores, _NEVER)
        return single_queries.mixture(scores, (values,))
    scores = tf.matmul(queries, keys, transpose_b=True)
    scores = tf.cast(scores, tf.float32) / math.sqrt(queries.shape[-1])
    weights = tf.nn.softmax(tf.where(seen, scores, _NEVER))
    return tf.matmul(tf.cast(weights, dtype), values)


def _exchanged(parts: tf.Tensor) -> tf.Tensor:
    """[B,T,I,W] as [B,I,T,W] or the other way round."""
    batch, first, second, _ = tf.unstack(tf.shape(parts))
    if 1 in parts.shape[1:3]:  # nothing changes its place
        return tf.reshape(parts, [batch, second, first, parts.shape[3]])
    return tf.transpose(parts, [0, 2, 1, 3])


def rotation(positions: tf.Tensor, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine of angles that grow with the position.

    Args:
        positions: int32 [B,T] or [1,T].
        width: int. Of a head, W, even.

    Returns:
        Two float32 [B,1,T,W/2] or [1,1,T,W/2], see `heads.turn`. The angles
        are computed in float64.
    """
    half = width // 2
    speeds = _WAVELENGTH ** (-np.arange(half) / half)  # radians a position
    angles = tf.cast(positions, tf.float64)[:, None, :, None] * speeds
    return tuple(tf.cast(f(angles), tf.float32) for f in (tf.cos, tf.sin))
