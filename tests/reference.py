"""The text to expect, from weights and settings alone: NumPy, nothing of tflm.

Only the draw itself is TensorFlow Probability's, one row at a time, since that
is how it is specified.
"""

import numpy as np
import tensorflow_probability as tfp

UNKNOWN, START, END = 1, 2, 3
FIRST = 4  # the id of the vocabulary's first entry


def generate(cell, weights, vocabulary, prompt, *, seed=0, **settings):
    """Continues one prompt; returns the completion and the finish reason.

    Weights are the embedding, three arrays a layer in Keras's order, kernel
    and bias of the output. The vocabulary's entries are strings, or tuples of
    an id where the text of a token depends on what stands before it; then the
    prompt and the completion are made of such tuples too.
    """
    known = {character: FIRST + i for i, character in enumerate(vocabulary)}
    ids = [START, *(known.get(character, UNKNOWN) for character in prompt)]
    units = len(weights[2])
    states = [np.zeros((2, units)) for _ in weights[1:-2:3]]
    completion = vocabulary[0][:0]
    stop = settings.pop("stop", ())
    rules = {
        name: settings.pop(name)
        for name in ("repetition_penalty", "no_repeat_ngram", "banned")
        if name in settings
    }
    for token in ids[:-1]:
        read(cell, weights, states, token)
    for _ in range(settings.pop("max_new_tokens", 20)):
        logits = read(cell, weights, states, ids[-1])
        logits = constrain(logits, ids, **rules)
        token = choose(logits, (seed, len(ids)), **settings)
        if token == END:
            return completion, "end"
        completion += vocabulary[token - FIRST]
        ids.append(token)
        if any(string in completion for string in stop):
            return completion, "stop"
    return completion, "length"


def constrain(
    logits, ids, repetition_penalty=1.0, no_repeat_ngram=0, banned=()
):
    """Penalties and bans of the tokens that stand in a text already."""
    logits = np.array(logits, np.float64)
    logits[list(banned)] = -np.inf
    for token in set(ids):
        factor = repetition_penalty
        logits[token] *= 1 / factor if logits[token] > 0 else factor
    if no_repeat_ngram:
        size = no_repeat_ngram
        grams = {tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)}
        before = tuple(ids[len(ids) - size + 1 :])
        for token in range(len(logits)):
            if (*before, token) in grams:
                logits[token] = -np.inf
    return logits


def log_probabilities(cell, weights, vocabulary, text):
    """The log-probability of each character of a text, and of what follows.

    Returns the characters' own [T] and all V of the next one.
    """
    known = {character: FIRST + i for i, character in enumerate(vocabulary)}
    states = [np.zeros((2, len(weights[2]))) for _ in weights[1:-2:3]]
    token, own = START, []
    for character in text:
        logits = read(cell, weights, states, token)
        token = known.get(character, UNKNOWN)
        own.append((logits - np.logaddexp.reduce(logits))[token])
    logits = read(cell, weights, states, token)
    return np.array(own), logits - np.logaddexp.reduce(logits)


def following(cell, weights, vocabulary, prompt, k, allow_end=True):
    """The texts of the `k` likeliest next tokens and their probabilities."""
    _, after = log_probabilities(cell, weights, vocabulary, prompt)
    texts = [None, "\N{REPLACEMENT CHARACTER}", None, "" if allow_end else None]
    texts += list(vocabulary)
    order = np.argsort(-after, kind="stable")
    ids = [token for token in order if texts[token] is not None][:k]
    return [texts[token] for token in ids], np.exp(after[ids])


def read(cell, weights, states, token):
    """Reads one token: changes the states in place, returns logits [V]."""
    embedding, *layers, kernel, bias = weights
    hidden = embedding[token].astype(np.float64)
    for state, first in zip(states, range(0, len(layers), 3), strict=True):
        hidden = cell(hidden, state, *layers[first : first + 3])
    return hidden @ kernel + bias


def gru(inputs, state, kernel, recurrent, biases):
    """Keras's GRU with `reset_after`; the state's second half is not used."""
    hidden = state[0].copy()
    z, r, c = np.split(inputs @ kernel + biases[0], 3)
    hz, hr, hc = np.split(hidden @ recurrent + biases[1], 3)
    update = sigmoid(z + hz)
    candidate = np.tanh(c + sigmoid(r + hr) * hc)
    state[0] = update * hidden + (1 - update) * candidate
    return state[0]


def simple_rnn(inputs, state, kernel, recurrent, bias):
    """Keras's SimpleRNN; the state's second half is not used."""
    state[0] = np.tanh(inputs @ kernel + state[0] @ recurrent + bias)
    return state[0]


def lstm(inputs, state, kernel, recurrent, bias):
    """Keras's LSTM; the state holds hidden and cell."""
    gates = inputs @ kernel + state[0] @ recurrent + bias
    i, f, c, o = np.split(gates, 4)
    state[1] = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(c)
    state[0] = sigmoid(o) * np.tanh(state[1])
    return state[0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def choose(
    logits,
    seed,
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    min_p=0.0,
    allow_end=True,
):
    """The next id from logits [V]: bans, temperature, filters, draw."""
    logits = narrow(logits, temperature, top_k, top_p, allow_end)
    logits[np.exp(logits - logits.max()) < min_p] = -np.inf
    if temperature == 0:
        return int(np.argmax(logits))
    row = tfp.distributions.Categorical(logits=logits.astype(np.float32))
    return int(row.sample(seed=seed))


def narrow(logits, temperature, top_k, top_p, allow_end):
    logits = np.array(logits, np.float64)
    logits[:FIRST] = [-np.inf] * 3 + [logits[END] if allow_end else -np.inf]
    logits = logits / (temperature or 1.0)
    order = np.argsort(-logits, kind="stable")
    if top_k:
        logits[order[top_k:]] = -np.inf
    shares = np.exp(logits[order] - logits.max())
    before = np.cumsum(shares / shares.sum()) - shares / shares.sum()
    if top_p < 1:
        logits[order[before >= top_p]] = -np.inf
    return logits
