"""The recurrent layers once more: NumPy, float64, a loop over rows and steps.

Written from the cells' equations, with Keras's rules for what is shown of a
masked step and for going backwards.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_rnn(x, states, kernel, recurrent, bias):
    (hidden,) = states
    return (np.tanh(x @ kernel + hidden @ recurrent + bias),)


def gru(x, states, kernel, recurrent, bias):
    """A bias [2,3U] is that of a reset gate after the product."""
    (hidden,) = states
    after = np.ndim(bias) == 2
    of_inputs, of_state = bias if after else (bias, np.zeros_like(bias))
    x_z, x_r, x_c = np.split(x @ kernel + of_inputs, 3, axis=-1)
    r_z, r_r, r_c = np.split(recurrent, 3, axis=1)
    b_z, b_r, b_c = np.split(of_state, 3)
    z = sigmoid(x_z + hidden @ r_z + b_z)
    r = sigmoid(x_r + hidden @ r_r + b_r)
    reset = r * (hidden @ r_c + b_c) if after else (r * hidden) @ r_c
    c = np.tanh(x_c + reset)
    return (z * hidden + (1 - z) * c,)


def lstm(x, states, kernel, recurrent, bias):
    hidden, cell = states
    gates = x @ kernel + hidden @ recurrent + bias
    i, f, g, o = np.split(gates, 4, axis=-1)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


CELLS = {"simple_rnn": simple_rnn, "gru": gru, "lstm": lstm}
STATES = {"simple_rnn": 1, "gru": 1, "lstm": 2}


def run(
    kind,
    inputs,
    weights,
    states=None,
    mask=None,
    go_backwards=False,
    zero_output_for_mask=False,
):
    """Outputs [B,T,U] and last states [B,U], of inputs [B,T,D]."""
    units = weights[1].shape[0]
    batch_size, length, _ = inputs.shape
    if states is None:
        states = np.zeros([STATES[kind], batch_size, units])
    if mask is None:
        mask = np.ones([batch_size, length], bool)
    outputs = np.zeros([batch_size, length, units])
    last = np.zeros([STATES[kind], batch_size, units])
    order = range(length)[::-1] if go_backwards else range(length)
    for row in range(batch_size):
        state = tuple(part[row] for part in states)
        shown = np.zeros(units)
        for place, time in enumerate(order):
            if mask[row, time]:
                state = CELLS[kind](inputs[row, time], state, *weights)
                shown = state[0]
            elif zero_output_for_mask:
                shown = np.zeros(units)
            outputs[row, place] = shown
        last[:, row] = state
    return outputs, last
