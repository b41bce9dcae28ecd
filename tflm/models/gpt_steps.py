"""A GPT that reads token by token, its rings left as they are meanwhile.

Axes: B batch, S tokens read, V vocabulary.
"""

from typing import Any

import tensorflow as tf

from tflm.layers import rings
from tflm.layers.dense import normalized
from tflm.layers.rings_ahead import RingAhead
from tflm.models.steps import State, Steps

_PARTS = ("keys", "values")


class GPTSteps(Steps):
    """A `GPT` that reads up to `count` tokens of each text; see `Steps`.

    Args:
        model: The model.
        state: Its state.
        count: int. S.
        fixed: bool. See `LanguageModel.steps`.
    """

    def __init__(self, model: Any, state: State, count: int, fixed: bool):
        begun = state["position"]
        slots = rings.slots(begun, model.context)
        dtype = tf.as_dtype(model.compute_dtype)
        self.before = [_pair(i, state) for i in range(model.num_layers)]
        self.rings = [
            RingAhead(ring, slots, begun, count, dtype, fixed)
            for ring in self.before
        ]
        self.begun = begun
        first = {"position": begun, "time": tf.constant(0)}
        for index, ring in enumerate(self.rings):
            first |= _named(index, ring.first)
        super().__init__(model, first)

    def read(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        position, time = state["position"], state["time"]
        after = {
            "position": position + tf.cast(mask, tf.int32),
            "time": time + 1,
        }
        hidden = self.model.embed(ids[:, tf.newaxis])  # [B,1,D]
        for index, block in enumerate(self.model.blocks):
            ring, buffer = self.rings[index], _pair(index, state)

            def attend(
                queries: tf.Tensor,
                *new: tf.Tensor,
                ring: RingAhead = ring,
                buffer: rings.Pair = buffer,
            ) -> tuple[tf.Tensor, rings.Pair]:
                return ring.attend(queries, new, buffer, position, time)

            hidden, buffer = block(
                hidden, position[:, tf.newaxis], ahead=attend, training=False
            )
            after |= _named(index, buffer)
        hidden = normalized(self.model.norm, hidden, training=False)
        return self.model.logits(hidden)[:, 0], after

    def last(self, state: State) -> State:
        after = {"position": state["position"]}
        read = state["position"] - self.begun  # [B]
        for index, ring in enumerate(self.before):
            buffer = _pair(index, state)
            places = tf.range(tf.shape(buffer[0])[2])
            there = places < read[:, tf.newaxis]  # [B,S]
            after |= _named(
                index, rings.turned(ring, buffer, self.begun, there)
            )
        return after


def _pair(index: int, state: State) -> rings.Pair:
    keys, values = (state[f"layer_{index}_{part}"] for part in _PARTS)
    return keys, values


def _named(index: int, pair: rings.Pair) -> State:
    names = [f"layer_{index}_{part}" for part in _PARTS]
    return dict(zip(names, pair, strict=True))
