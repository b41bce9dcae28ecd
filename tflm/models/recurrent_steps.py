"""Recurrent models that read token by token, their states transposed.

Axes: B batch, D width of a layer's inputs, U units, G the gates' units,
V vocabulary.
"""

from typing import Any

import tensorflow as tf

from tflm.layers import scans
from tflm.models.steps import State, Steps

# Ids at the most for which a table is made of what they add to the gates: it
# costs what as many tokens do, and a token is the faster for it.
_TABLE = 512


def step_weights(model: Any) -> tuple[tf.Tensor, ...]:
    """Of each layer of a `RecurrentLanguageModel` the three that a step needs.

    They are what projects the inputs, [D,G], the recurrent kernel and the
    biases, see `scans.for_steps`. Of the first layer the first is a table
    [V,G] of what each id adds to the gates, if there are few ids.
    """
    dtype = tf.as_dtype(model.compute_dtype)
    weights = []
    for index, layer in enumerate(model.recurrent):
        kernel, recurrent, bias = layer.scan.tensors()
        kernel = tf.cast(kernel, dtype)
        if index == 0 and _has_table(model) and model.embedding is not None:
            table = tf.cast(model.embedding.embeddings, dtype)
            kernel = tf.matmul(table, kernel)  # [V,G]
        weights.append(kernel)
        weights += scans.for_steps(layer.scan.scan_cell, recurrent, bias, dtype)
    return tuple(weights)


class RecurrentSteps(Steps):
    """A `RecurrentLanguageModel` that reads token by token; see `Steps`.

    Args:
        model: The model.
        state: Its state.
        weights: What `step_weights` gives.
    """

    def __init__(
        self, model: Any, state: State, weights: tuple[tf.Tensor, ...]
    ):
        super().__init__(model, {n: _turned(t) for n, t in state.items()})
        thirds = weights[::3], weights[1::3], weights[2::3]
        self.weights = list(zip(*thirds, strict=True))  # of each layer

    def read(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        model, state = self.model, dict(state)
        state["position"] += tf.cast(mask, tf.int32)
        inputs = None
        for index, weights in enumerate(self.weights):
            kernel, recurrent, biases = weights
            names = model.state_names(index)
            if inputs is not None:
                inputs = tf.matmul(inputs, kernel)  # [B,G]
            elif _has_table(model):
                inputs = tf.gather(kernel, ids)
            else:
                embedded = model.embed(ids[:, tf.newaxis])[:, 0]  # [B,D]
                inputs = tf.matmul(tf.cast(embedded, kernel.dtype), kernel)
            after = scans.advance(
                model.recurrent[index].scan.scan_cell,
                inputs,
                recurrent,
                biases,
                tuple(state[name] for name in names),
                mask[tf.newaxis],
            )  # [U,B]
            state.update(zip(names, after, strict=True))
            inputs = tf.cast(tf.transpose(after[0]), kernel.dtype)  # [B,U]
        hidden = inputs[:, tf.newaxis]
        if model.bridge is not None:
            hidden = model.bridge(hidden)
        return model.logits(hidden)[:, 0], state

    def last(self, state: State) -> State:
        return {name: _turned(tensor) for name, tensor in state.items()}


def _has_table(model: Any) -> bool:
    return model.embedding is None or model.vocabulary_size <= _TABLE


def _turned(tensor: tf.Tensor) -> tf.Tensor:
    """A state [B,U] as [U,B], and back; positions [B] as they are."""
    return tf.transpose(tensor)
