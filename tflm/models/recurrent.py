"""Recurrent language models: embedding, recurrent layers, projection.

Axes: B batch, T time, D embedding width, U units, V vocabulary.
"""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tflm import checked, layers
from tflm.models.language_model import State, advance
from tflm.models.neural import NeuralLanguageModel
from tflm.models.recurrent_steps import RecurrentSteps


class RecurrentLanguageModel(NeuralLanguageModel):
    """Embedding or one-hot input, a stack of recurrent layers, logits.

    Args:
        vocabulary_size: int. Number of ids, V.
        embedding_dim: int. Width of the embedding, D; 0 means one-hot input.
            Default 256.
        units: int. Units of each layer, U. Default 1024.
        num_layers: int. Recurrent layers. Default 1.
        dropout: float in [0, 1). Share dropped of the embedding and of each
            layer's outputs in training. Default 0.
        tie_embeddings: bool. Whether the output layer uses the embedding's
            weights; where `units` differs from `embedding_dim`, a linear
            layer brings the one to the other. Default False. Reference:
            Press and Wolf, 2017, https://arxiv.org/abs/1608.05859.
        num_sampled: int. Ids that each target is told from in training; 0
            means all. Default 0. See `NeuralLanguageModel`.
        **kwargs: Keras's own model arguments (`name`, `dtype`).

    Raises:
        ValueError: If embeddings are tied and there are none, or a number is
            out of its range.

    Example:
    >>> model = GRU(vocabulary_size=10, embedding_dim=4, units=8)
    >>> ids = tf.constant([[2, 5, 7]])
    >>> logits, state = model(ids, return_state=True)
    >>> logits.shape, sorted(state)
    (TensorShape([1, 3, 10]), ['layer_0_hidden', 'position'])
    >>> more, state = model(ids, initial_state=state, return_state=True)
    >>> state["position"].numpy()
    array([6], dtype=int32)
    """

    settings = (
        "embedding_dim",
        "units",
        "num_layers",
        "dropout",
        "tie_embeddings",
        "num_sampled",
    )
    layer: ClassVar[type[layers.Scanned]]
    carried: ClassVar[type[layers.Carried]]

    def __init__(
        self,
        *,
        vocabulary_size: int,
        embedding_dim: int = 256,
        units: int = 1024,
        num_layers: int = 1,
        dropout: float = 0.0,
        tie_embeddings: bool = False,
        num_sampled: int = 0,
        **kwargs: Any,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            embedding_dim=embedding_dim,
            tie_embeddings=tie_embeddings,
            num_sampled=num_sampled,
            **kwargs,
        )
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout
        checked.require_at_least(1, self, "units")
        checked.require_at_least(1, self, "num_layers")
        checked.require(0 <= dropout < 1, self, "dropout", "in [0, 1)")
        # Layers
        policy = self.dtype_policy
        self.recurrent = [
            self.carried(
                self.layer(
                    units,
                    return_sequences=True,
                    return_state=True,
                    recurrent_initializer=_Orthogonal(),
                    dtype=policy,
                    name="scan",
                ),
                dtype=policy,
                name=f"layer_{index}",
            )
            for index in range(num_layers)
        ]
        self.dropouts = [
            keras.layers.Dropout(dropout, dtype=policy, name=f"dropout_{index}")
            for index in range(num_layers + 1)
        ]
        self.bridge = None
        if tie_embeddings and units != embedding_dim:
            self.bridge = keras.layers.Dense(
                embedding_dim, use_bias=False, dtype=policy, name="bridge"
            )
        # Weights at once: a model can be counted, saved and loaded unused.
        self.build((None, None))

    def build_layers(self) -> int:
        width = self.embedding_dim or self.vocabulary_size
        for layer in self.recurrent:
            layer.build((None, None, width))
            width = self.units
        if self.bridge is not None:
            self.bridge.build((None, None, width))
            width = self.embedding_dim
        return width

    def hidden(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
        return_state: bool = False,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, State]:
        # Forward graph
        ids = tf.convert_to_tensor(ids)  # [B,T]
        if initial_state is None:
            initial_state = self.get_initial_state(tf.shape(ids)[0])
        position = advance(initial_state["position"], ids, mask)
        state: State = {"position": position}
        table = self._table() if training else None
        if table is None:
            hidden = self.dropouts[0](self.embed(ids), training=training)
        else:
            hidden = tf.cast(ids, tf.int32)
        for index, layer in enumerate(self.recurrent):
            names = self.state_names(index)
            before = tuple(initial_state[name] for name in names)
            hidden, after = layer(
                hidden, before, mask=mask, training=training, table=table
            )  # [B,T,U]
            table = None
            state.update(zip(names, after, strict=True))
            hidden = self.dropouts[index + 1](hidden, training=training)
        if self.bridge is not None:
            hidden = self.bridge(hidden)  # [B,T,D]
        return hidden, state

    def steps(self, count: int, **how: bool) -> RecurrentSteps:
        return RecurrentSteps(self, count, **how)

    def get_initial_state(self, batch_size: int | tf.Tensor) -> State:
        state = {"position": tf.zeros([batch_size], tf.int32)}
        for index in range(self.num_layers):
            for name in self.state_names(index):
                state[name] = tf.zeros([batch_size, self.units])
        return state

    def _table(self) -> tf.Tensor | None:
        """The embedding [V,D], where the first layer is faster by ids.

        Dropout needs the embedding of each position.
        """
        few = self.vocabulary_size <= self.embedding_dim
        if self.embedding is None or self.dropout or not few:
            return None
        return tf.convert_to_tensor(self.embedding.embeddings)

    def get_config(self) -> dict[str, Any]:
        # Config
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "tie_embeddings": self.tie_embeddings,
            "num_sampled": self.num_sampled,
        }

    def state_names(self, index: int) -> list[str]:
        """What the parts of a layer's state are called."""
        return [f"layer_{index}_{name}" for name in self.layer.state_names]


@keras.saving.register_keras_serializable(package="tflm")
class _Orthogonal(keras.initializers.Orthogonal):
    """Keras's, made in float32: its decomposition has no bfloat16."""

    def __call__(self, shape: Any, dtype: str | None = None) -> tf.Tensor:
        return tf.cast(super().__call__(shape, "float32"), dtype or "float32")


@keras.saving.register_keras_serializable(package="tflm")
class SimpleRNN(RecurrentLanguageModel):
    """Language model of Elman layers; see `RecurrentLanguageModel`.

    Example:
    >>> model = SimpleRNN(vocabulary_size=10, embedding_dim=4, units=8)
    >>> model(tf.constant([[2, 5, 7]])).shape
    TensorShape([1, 3, 10])
    """

    layer = layers.SimpleRNN
    carried = layers.carried.SimpleRNN


@keras.saving.register_keras_serializable(package="tflm")
class GRU(RecurrentLanguageModel):
    """Language model of gated units; see `RecurrentLanguageModel`.

    Example:
    >>> model = GRU(vocabulary_size=10, embedding_dim=4, units=8)
    >>> _, state = model(tf.constant([[2, 5]]), return_state=True)
    >>> logits, state = model(
    ...     tf.constant([[7]]), initial_state=state, return_state=True
    ... )
    >>> logits.shape, state["position"].numpy().tolist()
    (TensorShape([1, 1, 10]), [3])
    """

    layer = layers.GRU
    carried = layers.carried.GRU


@keras.saving.register_keras_serializable(package="tflm")
class LSTM(RecurrentLanguageModel):
    """Language model of LSTM layers; see `RecurrentLanguageModel`.

    Example:
    >>> model = LSTM(vocabulary_size=10, embedding_dim=4, units=8)
    >>> sorted(model.get_initial_state(batch_size=2))
    ['layer_0_cell', 'layer_0_hidden', 'position']
    """

    layer = layers.LSTM
    carried = layers.carried.LSTM
