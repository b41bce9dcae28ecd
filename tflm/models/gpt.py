"""A miniature GPT: pre-norm blocks of attention, with a ring as its state.

Axes: B batch, T time, D width, H heads, W width of a head, C context,
V vocabulary.
"""

from typing import Any

import keras
import tensorflow as tf

from tflm import checked, layers
from tflm.layers.dense import normalized
from tflm.models.gpt_steps import GPTSteps
from tflm.models.language_model import State, advance
from tflm.models.neural import NeuralLanguageModel


@keras.saving.register_keras_serializable(package="tflm")
class GPT(NeuralLanguageModel):
    """Decoder-only transformer that reads texts of any length.

    Every layer attends to the last `context` positions, and the state holds
    their keys and values, so that each further token costs the same.

    Args:
        vocabulary_size: int. Number of ids, V.
        embedding_dim: int. Width, D. Default 256.
        num_layers: int. Blocks. Default 4.
        num_heads: int. Heads, H; they divide `embedding_dim` into even
            widths. Default 4.
        context: int. Positions attended to, C. Default 128.
        dropout: float in [0, 1). Share dropped of the embedding, the
            attention's weights and each block's results. Default 0.
        tie_embeddings: bool. Whether the output layer uses the embedding's
            weights. Default True.
        rotary: bool. Whether queries and keys are turned by their position.
            Without it, order is seen by the causal mask alone. Default True.
        num_sampled: int. Ids that each target is told from in training; 0
            means all. Default 0. See `NeuralLanguageModel`.
        **kwargs: Keras's own model arguments (`name`, `dtype`).

    Raises:
        ValueError: If the heads do not divide the width into even parts, or a
            number is out of its range.

    Reference: Radford et al., "Language models are unsupervised multitask
    learners", 2019.

    Example:
    >>> model = GPT(vocabulary_size=10, embedding_dim=8, num_heads=2, context=4)
    >>> logits, state = model(tf.constant([[2, 5, 7]]), return_state=True)
    >>> logits.shape, state["layer_0_keys"].shape
    (TensorShape([1, 3, 10]), TensorShape([1, 2, 4, 4]))
    """

    settings = (
        "embedding_dim",
        "num_layers",
        "num_heads",
        "context",
        "dropout",
        "tie_embeddings",
        "num_sampled",
    )

    def __init__(
        self,
        *,
        vocabulary_size: int,
        embedding_dim: int = 256,
        num_layers: int = 4,
        num_heads: int = 4,
        context: int = 128,
        dropout: float = 0.0,
        tie_embeddings: bool = True,
        num_sampled: int = 0,
        rotary: bool = True,
        **kwargs: Any,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            embedding_dim=embedding_dim,
            tie_embeddings=tie_embeddings,
            num_sampled=num_sampled,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.02),
            **kwargs,
        )
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.context = context
        self.dropout = dropout
        self.rotary = rotary
        for name in ("embedding_dim", "num_layers", "num_heads", "context"):
            checked.require_at_least(1, self, name)
        checked.require(0 <= dropout < 1, self, "dropout", "in [0, 1)")
        if embedding_dim % (2 * num_heads):
            raise ValueError(
                "`embedding_dim` must be a multiple of twice `num_heads`. "
                f"Received: embedding_dim={embedding_dim}, "
                f"num_heads={num_heads}"
            )
        # Layers
        policy = self.dtype_policy
        self.drop = keras.layers.Dropout(dropout, dtype=policy)
        self.blocks = [
            layers.TransformerBlock(
                num_heads=num_heads,
                context=context,
                dropout=dropout,
                rotary=rotary,
                dtype=policy,
                name=f"block_{index}",
            )
            for index in range(num_layers)
        ]
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="norm"
        )
        # Weights at once: a model can be counted, saved and loaded unused.
        self.build((None, None))

    def build_layers(self) -> int:
        for block in self.blocks:
            block.build((None, None, self.embedding_dim))
        self.norm.build((None, None, self.embedding_dim))
        return self.embedding_dim

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
        carried = return_state or initial_state is not None
        if initial_state is None:
            initial_state = self.get_initial_state(tf.shape(ids)[0])
        position = initial_state["position"]
        state: State = {"position": advance(position, ids, mask)}
        positions = self._positions(ids, mask, position if carried else None)
        hidden = self.drop(self.embed(ids), training=training)  # [B,T,D]
        for index, block in enumerate(self.blocks):
            names = [f"layer_{index}_keys", f"layer_{index}_values"]
            ring = tuple(initial_state[name] for name in names)
            hidden, ring = block(
                hidden,
                positions,
                mask=mask,
                ring=ring if carried else None,
                position=position,
                training=training,
            )
            if ring is not None:
                state.update(zip(names, ring, strict=True))
        return normalized(self.norm, hidden, training), state

    def steps(self, count: int, **how: bool) -> GPTSteps:
        return GPTSteps(self, count, **how)

    def get_initial_state(self, batch_size: int | tf.Tensor) -> State:
        width = self.embedding_dim // self.num_heads
        shape = [batch_size, self.num_heads, self.context, width]
        state = {"position": tf.zeros([batch_size], tf.int32)}
        for index in range(self.num_layers):
            state[f"layer_{index}_keys"] = tf.zeros(shape)
            state[f"layer_{index}_values"] = tf.zeros(shape)
        return state

    def get_config(self) -> dict[str, Any]:
        # Config
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "context": self.context,
            "dropout": self.dropout,
            "tie_embeddings": self.tie_embeddings,
            "num_sampled": self.num_sampled,
            "rotary": self.rotary,
        }

    def _positions(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None,
        position: tf.Tensor | None,
    ) -> tf.Tensor:
        """Absolute positions, [B,T], or [1,T] where all rows are alike."""
        if mask is None:
            steps = tf.range(tf.shape(ids)[1])[None]  # [1,T]
        else:
            steps = tf.cumsum(tf.cast(mask, tf.int32), axis=1) - 1  # [B,T]
        return steps if position is None else position[:, None] + steps
