"""Recurrent models that read token by token, their states transposed.

Axes: B batch, D width of a layer's inputs, U units, G the gates' units,
V vocabulary.
"""

import tensorflow as tf

from tflm.layers import cell_steps
from tflm.models.steps import State, Steps

# Ids at the most for which a table is made of what they add to the gates: it
# costs what as many tokens do, and a token is the faster for it.
_TABLE = 512
# Ids at the most whose logits are made of the states as they lie: by a product
# that wakes up no threads, which takes longer than such a product itself.
_FEW_LOGITS = 300


class RecurrentSteps(Steps):
    """A `RecurrentLanguageModel` that reads token by token; see `Steps`.

    The weights are three of each layer: what projects the inputs, [G,D], the
    recurrent kernel and the biases, see `cell_steps.for_steps`. Of the first
    layer the first is a table [V,G] of what each id adds to the gates, if there
    are few ids. States lie transposed, [U,B].
    """

    def weights(self) -> tuple[tf.Tensor, ...]:
        model = self.model
        dtype = tf.as_dtype(model.compute_dtype)
        weights = []
        for index, layer in enumerate(model.recurrent):
            kernel, recurrent, bias = layer.scan.tensors()
            kernel = tf.cast(kernel, dtype)
            if index == 0 and self._has_table:
                if model.embedding is not None:
                    table = tf.cast(model.embedding.embeddings, dtype)
                    kernel = tf.matmul(table, kernel)  # [V,G]
            else:
                kernel = tf.transpose(kernel)  # [G,D]
            cell = layer.scan.scan_cell
            weights.append(kernel)
            weights += cell_steps.for_steps(cell, recurrent, bias, dtype)
        return tuple(weights)

    def begin(self, state: State) -> State:
        # Positions [B] stay as they are.
        return {name: tf.transpose(part) for name, part in state.items()}

    def read(
        self,
        weights: tuple[tf.Tensor, ...],
        ids: tf.Tensor,
        mask: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        model, after = self.model, dict(state)
        after["position"] += tf.cast(mask, tf.int32)
        hidden = self._projected(weights[0], ids)  # [G,B]
        for index, layer in enumerate(model.recurrent):
            kernel, recurrent, biases = weights[3 * index : 3 * index + 3]
            if index:
                hidden = tf.matmul(kernel, hidden)  # [G,B]
            names = model.state_names(index)
            states = cell_steps.advance(
                layer.scan.scan_cell,
                hidden,
                recurrent,
                biases,
                tuple(state[name] for name in names),
                mask[tf.newaxis],
                self.kernels,
            )  # [U,B]
            after.update(zip(names, states, strict=True))
            hidden = tf.cast(states[0], kernel.dtype)  # [U,B]
        return self._logits(hidden), after

    def _logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """float32 [B,V] of the last layer's states, [U,B]."""
        model, projection = self.model, self.model.projection
        few = model.vocabulary_size <= _FEW_LOGITS
        if few and projection is not None:
            kernel, bias = (
                tf.cast(weight, hidden.dtype)
                for weight in (projection.kernel, projection.bias)
            )
            product = tf.matmul(kernel, hidden, transpose_a=True)  # [V,B]
            return tf.cast(tf.transpose(product) + bias, tf.float32)
        hidden = tf.transpose(hidden)[:, tf.newaxis]  # [B,1,U]
        if model.bridge is not None:
            hidden = model.bridge(hidden)
        return model.logits(hidden)[:, 0]

    @property
    def _has_table(self) -> bool:
        model = self.model
        return model.embedding is None or model.vocabulary_size <= _TABLE

    def _projected(self, kernel: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """What ids [B] add to the gates of the first layer, [G,B]."""
        if self._has_table:
            return tf.transpose(tf.gather(kernel, ids))
        embedded = self.model.embed(ids[:, tf.newaxis])[:, 0]  # [B,D]
        embedded = tf.cast(embedded, kernel.dtype)
        return tf.matmul(kernel, embedded, transpose_b=True)
