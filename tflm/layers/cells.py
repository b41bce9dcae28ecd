"""The element-wise parts of the recurrent cells, with their gradients.

Axes: B batch, U units, G the gates' units.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]


class Cell(NamedTuple):
    """The element-wise part of a recurrent cell; all of it float32 [.,B].

    Attributes:
        forward: Takes the projected inputs [G,B], the projected state [G,B],
            both with their biases, and the states [U,B]; gives the new states
            and what `backward` needs, stacked in one tensor. With `axis` 1
            all of it is the other way round, [B,.].
        backward: Takes that tensor, the hidden state before and the states'
            gradients; gives the gradients of the gates, first those of the
            projected state and last those of the projected inputs, which may
            be the same, and the gradients of the earlier states that do not
            pass through the weights.
        gates: How many gradients of gates `backward` gives.
        turned: Whether the projected state has its last gate first. Where the
            two projections differ in the gradient of one gate, all the
            others' rows can be shared then.
    """

    forward: Callable[..., tuple[Tensors, tf.Tensor]]
    backward: Callable[..., tuple[Tensors, Tensors]]
    gates: int
    turned: bool = False


def _simple_forward(
    inputs: tf.Tensor, state: tf.Tensor, hidden: tf.Tensor, axis: int = 0
) -> tuple[Tensors, tf.Tensor]:
    hidden = tf.tanh(inputs + state)
    return (hidden,), hidden


def _simple_backward(
    hidden: tf.Tensor, before: tf.Tensor, d_hidden: tf.Tensor
) -> tuple[Tensors, Tensors]:
    gate = d_hidden * (1 - hidden * hidden)
    return (gate,), (tf.zeros_like(d_hidden),)


def _gru_forward(
    inputs: tf.Tensor, state: tf.Tensor, hidden: tf.Tensor, axis: int = 0
) -> tuple[Tensors, tf.Tensor]:
    z, r, c = tf.split(inputs, 3, axis)
    c_state, z_state, r_state = tf.split(state, 3, axis)
    z, r = tf.sigmoid(z + z_state), tf.sigmoid(r + r_state)
    c = tf.tanh(c + r * c_state)
    return (c + z * (hidden - c),), tf.concat([z, r, c, c_state], axis)


def _gru_backward(
    kept: tf.Tensor, hidden: tf.Tensor, d_hidden: tf.Tensor
) -> tuple[Tensors, Tensors]:
    z, r, c, c_state = tf.split(kept, 4)
    d_z = d_hidden * (hidden - c) * z * (1 - z)
    d_c = d_hidden * (1 - z) * (1 - c * c)
    d_r = d_c * c_state * r * (1 - r)
    # The candidate's gradient differs by r between its two products.
    return (d_c * r, d_z, d_r, d_c), (d_hidden * z,)


def _lstm_forward(
    inputs: tf.Tensor,
    state: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    axis: int = 0,
) -> tuple[Tensors, tf.Tensor]:
    i, f, g, o = tf.split(inputs + state, 4, axis)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    new = f * cell + i * g
    kept = tf.concat([i, f, g, o, cell], axis)
    return (o * tf.tanh(new), new), kept


def _lstm_backward(
    kept: tf.Tensor, before: tf.Tensor, d_hidden: tf.Tensor, d_cell: tf.Tensor
) -> tuple[Tensors, Tensors]:
    i, f, g, o, cell = tf.split(kept, 5)
    tanh = tf.tanh(f * cell + i * g)
    d_cell += d_hidden * o * (1 - tanh * tanh)
    gates = (
        d_cell * g * i * (1 - i),
        d_cell * cell * f * (1 - f),
        d_cell * i * (1 - g * g),
        d_hidden * tanh * o * (1 - o),
    )
    return gates, (tf.zeros_like(d_hidden), d_cell * f)


SIMPLE_RNN = Cell(_simple_forward, _simple_backward, gates=1)
GRU = Cell(_gru_forward, _gru_backward, gates=4, turned=True)
LSTM = Cell(_lstm_forward, _lstm_backward, gates=4)


def where(there: tf.Tensor | None, new: Tensors, old: Tensors) -> Tensors:
    """The new ones where a step counts, [1,B]; all of them without a mask."""
    if there is None:
        return new
    return tuple(
        tf.where(there, one, other) for one, other in zip(new, old, strict=True)
    )


def two_biases(bias: tf.Tensor) -> tf.Tensor:
    """A bias of inputs and of state apart, [2,G], also where there is one."""
    if bias.shape.rank == 1:
        return tf.stack([bias, tf.zeros_like(bias)])
    return bias


def float32(values: tf.Tensor) -> tf.Tensor:
    """The values in the precision of states and of what is element-wise."""
    return tf.cast(values, tf.float32)
