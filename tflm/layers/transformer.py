"""A transformer block: attention, then a network for each position.

Axes: B batch, T time, D width.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tflm.layers import kernels
from tflm.layers.attention import CachedAttention
from tflm.layers.dense import (
    Product,
    dense,
    dense_of_gelu,
    normalize,
    product_and_bias,
)

_WIDENING = 4  # of the inner layer


@keras.saving.register_keras_serializable(package="tflm")
class TransformerBlock(keras.layers.Layer):
    """`x + attention(norm(x))`, then `x + network(norm(x))`.

    Args:
        num_heads, context, dropout, rotary: See `CachedAttention`.
        **kwargs: Keras's own layer arguments (`name`, `dtype`).

    Call arguments and results are those of `CachedAttention`; `products` has
    four entries, one for each of `dense_layers`. With `fused`, default False,
    the norms and the activation are kernels made by XLA outside of training,
    too: no export can hold these.

    Example:
    >>> block = TransformerBlock(num_heads=2, context=3)
    >>> outputs, _ = block(tf.ones([1, 4, 8]), tf.range(4)[tf.newaxis])
    >>> outputs.shape
    TensorShape([1, 4, 8])
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
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="attention_norm"
        )
        self.attention = CachedAttention(
            num_heads=self.num_heads,
            context=self.context,
            dropout=self.dropout,
            rotary=self.rotary,
            dtype=policy,
            name="attention",
        )
        self.network_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="network_norm"
        )
        self.widen = keras.layers.Dense(
            _WIDENING * width, dtype=policy, name="widen"
        )
        self.narrow = keras.layers.Dense(width, dtype=policy, name="narrow")
        for layer in (self.attention_norm, self.attention, self.network_norm):
            layer.build(input_shape)
        self.widen.build(input_shape)
        self.narrow.build((*input_shape[:-1], _WIDENING * width))
        self.drop = keras.layers.Dropout(self.dropout, dtype=policy)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        positions: tf.Tensor,
        mask: tf.Tensor | None = None,
        ring: tuple[tf.Tensor, tf.Tensor] | None = None,
        position: tf.Tensor | None = None,
        ahead: Callable | None = None,
        products: tuple[Product | None, ...] = (None,) * 4,
        fused: bool = False,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor] | None]:
        # Forward graph
        inputs, normed = normalize(self.attention_norm, inputs, training, fused)
        attended, ring = self.attention(
            normed,
            positions,
            norm=self.attention_norm,
            mask=mask,
            ring=ring,
            position=position,
            ahead=ahead,
            products=products[:2],
            training=training,
        )
        hidden = inputs + self.drop(attended, training=training)  # [B,T,D]
        hidden, normed = normalize(self.network_norm, hidden, training, fused)
        if training:
            widened, bias = product_and_bias(
                self.widen, normed, self.network_norm
            )  # [B,T,4D]
            narrowed = dense_of_gelu(self.narrow, widened, bias)
        else:
            inner = dense(self.widen, normed, training, products[2])
            if fused:
                inner = kernels.gelu(inner, tf.zeros(inner.shape[-1:]))
            else:
                inner = tf.nn.gelu(inner, approximate=True)
            narrowed = dense(self.narrow, inner, training, products[3])
        return hidden + self.drop(narrowed, training=training), ring

    @property
    def dense_layers(self) -> tuple[keras.layers.Dense, ...]:
        """In the order of the data."""
        attention = self.attention
        of_attention = attention.projection, attention.output_projection
        return *of_attention, self.widen, self.narrow

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
