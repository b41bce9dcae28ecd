"""Models that embed ids and project hidden states to the vocabulary.

Axes: B batch, T time, D embedding width, W width of the hidden states,
V vocabulary.
"""

import abc
from typing import Any

import keras
import tensorflow as tf

from tflm import checked
from tflm.layers import cross_entropy, sampled_softmax
from tflm.layers.dense import dense
from tflm.models.language_model import LanguageModel, State


class NeuralLanguageModel(LanguageModel):
    """What the models that learn by gradients share: both their ends.

    Args:
        vocabulary_size: int. Number of ids, V.
        embedding_dim: int. Width of the embedding, D; 0 means one-hot input.
        tie_embeddings: bool. Whether the projection uses the embedding's
            weights. Reference: Press and Wolf, 2017,
            https://arxiv.org/abs/1608.05859.
        num_sampled: int. Ids that each target is told from in training, drawn
            anew at each step, which is faster for many words; 0 means all.
            Low ids should be the frequent ones. Default 0.
        embeddings_initializer: Keras initializer. Default "uniform".
        **kwargs: Keras's own model arguments (`name`, `dtype`).

    Raises:
        ValueError: If embeddings are tied and there are none, or a number is
            out of its range.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        embedding_dim: int,
        tie_embeddings: bool,
        num_sampled: int = 0,
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ):
        super().__init__(vocabulary_size=vocabulary_size, **kwargs)
        if tie_embeddings and not embedding_dim:
            raise ValueError(
                "`tie_embeddings` needs an embedding: `embedding_dim` must "
                "be at least 1. Received: embedding_dim=0"
            )
        self.embedding_dim = embedding_dim
        self.tie_embeddings = tie_embeddings
        self.num_sampled = num_sampled
        checked.require_at_least(0, self, "embedding_dim")
        checked.require_at_least(0, self, "num_sampled")
        # Layers
        self.embedding: keras.layers.Embedding | None = None
        if embedding_dim:
            self.embedding = keras.layers.Embedding(
                vocabulary_size,
                embedding_dim,
                embeddings_initializer=embeddings_initializer,
                dtype=self.dtype_policy,
                name="embedding",
            )
        self.projection: keras.layers.Dense | None = None

        self.seed_generator: keras.random.SeedGenerator | None = None
        if num_sampled:
            self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if self.built:  # Keras builds once more when it loads a model
            return
        if self.embedding is not None:
            self.embedding.build(input_shape)
        width = self.build_layers()
        if self.tie_embeddings:
            self.output_bias = self.add_weight(
                shape=(self.vocabulary_size,), name="output_bias"
            )
        else:
            # Made last, so that the weights stand in the order of the data.
            self.projection = keras.layers.Dense(
                self.vocabulary_size, dtype=self.dtype_policy, name="projection"
            )
            self.projection.build((None, None, width))
        self.built = True

    @abc.abstractmethod
    def build_layers(self) -> int:
        """Makes the weights between the ends; returns the width W."""

    @abc.abstractmethod
    def hidden(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
        return_state: bool = False,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, State]:
        """The states [B,T,W] to be projected, and the state to go on with."""

    def embed(self, ids: tf.Tensor) -> tf.Tensor:
        """The embedding of ids [B,T], or their one-hot vectors: [B,T,D]."""
        if self.embedding is None:
            return tf.one_hot(ids, self.vocabulary_size, dtype=tf.float32)
        return self.embedding(ids)

    def call(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        initial_state: State | None = None,
        return_state: bool = False,
        training: bool | None = None,
    ) -> tf.Tensor | tuple[tf.Tensor, State]:
        if ids.shape[1] == 0:  # a loop over time has no outputs to stack
            rows = tf.shape(ids)[0]
            logits = tf.zeros([rows, 0, self.vocabulary_size])
            state = initial_state or self.get_initial_state(rows)
        else:
            hidden, state = self.hidden(
                ids, mask, initial_state, return_state, training
            )
            logits = self.logits(hidden)
        return (logits, state) if return_state else logits

    def logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """float32 [B,T,V] of what `hidden` gave, [B,T,W]."""
        if self.projection is not None:
            logits = dense(self.projection, hidden, training=False)
        else:
            table, bias = self._output_weights()  # [V,W]
            table = tf.cast(table, hidden.dtype)
            if hidden.shape[1] == 1:
                # A plain product, as in `dense`.
                logits = tf.matmul(hidden[:, 0], table, transpose_b=True)
                logits = logits[:, tf.newaxis]
            else:
                logits = tf.einsum("btd,vd->btv", hidden, table)
            logits += tf.cast(bias, logits.dtype)
        return tf.cast(logits, tf.float32)

    def training_nats(
        self,
        ids: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        initial_state: State | None = None,
    ) -> tuple[tf.Tensor, State]:
        # Without a tensor [B,T,V], which is most of a step for many words.
        hidden, state = self.hidden(
            ids, initial_state=initial_state, training=True
        )  # [B,T,W]
        table, bias = self._output_weights()
        batch = (
            tf.reshape(hidden, [-1, table.shape[1]]),
            table,
            bias,
            tf.reshape(targets, [-1]),
            tf.reshape(weights, [-1]),
        )
        if self.seed_generator is None or self.num_sampled >= table.shape[0]:
            return cross_entropy.summed_nats(*batch), state
        seed = self.seed_generator.next()
        nats = sampled_softmax.summed_nats(*batch, self.num_sampled, seed)
        return nats, state

    def _output_weights(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The projection's table [V,W] and bias [V], in float32."""
        if self.projection is None:
            assert self.embedding is not None  # the constructor saw to it
            table, bias = self.embedding.embeddings, self.output_bias
        else:
            table = tf.transpose(self.projection.kernel)
            bias = self.projection.bias
        return tf.cast(table, tf.float32), tf.cast(bias, tf.float32)
