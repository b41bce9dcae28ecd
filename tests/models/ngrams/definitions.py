"""N-gram models in plain Python, straight from the definitions."""

import collections
import functools
import math

import numpy as np

from tests.documents import START

VOCABULARY_SIZE = 9
POSSIBLE = VOCABULARY_SIZE - 2  # all but padding and START


def observations(documents):
    """Each target with all that stands before it from START on."""
    for document in documents:
        tokens = [START, *document.ids]
        for place, target in enumerate(document.targets):
            yield tuple(tokens[: place + 1]), target


def ngrams(documents, length):
    """How often each n-gram of a length occurs."""
    return collections.Counter(
        history[len(history) - length + 1 :] + (target,)
        for history, target in observations(documents)
        if len(history) >= length - 1
    )


def continuations(documents, length, order):
    """The counts of Kneser and Ney."""
    counts = ngrams(documents, length)
    if length == order:
        return counts
    longer = ngrams(documents, length + 1)
    return collections.Counter(
        {
            gram: count
            if gram[0] == START
            else len({other[0] for other in longer if other[1:] == gram})
            for gram, count in counts.items()
        }
    )


def uniform(token):
    return 0.0 if token in (0, START) else 1 / POSSIBLE


def kneser_ney(documents, order, discounts=None):
    """A function of history and token."""
    adjusted = {
        n: continuations(documents, n, order) for n in range(1, order + 1)
    }
    given_up = discounts or [
        chen_and_goodman(adjusted[n].values()) for n in range(1, order + 1)
    ]

    def probability(history, token):
        history = history[max(len(history) - order + 1, 0) :]
        length = len(history) + 1
        after = {
            gram[-1]: count
            for gram, count in adjusted[length].items()
            if gram[:-1] == history
        }
        lower = functools.partial(probability, history[1:])
        if not history:
            lower = uniform
        if not after:
            return lower(token)
        discount = (0, *given_up[length - 1])
        total = sum(after.values())
        left = sum(discount[min(count, 3)] for count in after.values())
        count = after.get(token, 0)
        own = count - discount[min(count, 3)]
        return own / total + left / total * lower(token)

    return probability


def chen_and_goodman(counts):
    n = collections.Counter(counts)
    if not (n[1] and n[2] and n[3]):
        return (0.5, 1.0, 1.5)
    y = n[1] / (n[1] + 2 * n[2])
    found = tuple(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
    if any(d < 0 or d > j for j, d in zip((1, 2, 3), found, strict=True)):
        return (0.5, 1.0, 1.5)
    return found


def katz(documents, order):
    """A function of history and token."""
    counts = {n: ngrams(documents, n) for n in range(1, order + 1)}
    kept = {n: good_and_turing(counts[n].values()) for n in counts}

    def probability(history, token):
        history = history[max(len(history) - order + 1, 0) :]
        length = len(history) + 1
        after = {
            gram[-1]: count
            for gram, count in counts[length].items()
            if gram[:-1] == history
        }
        lower = functools.partial(probability, history[1:])
        if not history:
            lower = uniform
        if not after:
            return lower(token)
        own = {word: kept[length](count) for word, count in after.items()}
        total = sum(after.values())
        if len(after) == POSSIBLE:
            total = sum(own.values())
        elif math.isclose(total, sum(own.values())):
            total += 1
        if token in own:
            return own[token] / total
        left = 1 - sum(own.values()) / total
        unseen = 1 - sum(lower(word) for word in after)
        return left / unseen * lower(token)

    return probability


def good_and_turing(counts):
    n = collections.Counter(counts)
    if all(n[r] for r in range(1, 6)):
        common = 6 * n[6] / n[1]
        shares = {
            r: ((r + 1) * n[r + 1] / (r * n[r]) - common) / (1 - common)
            for r in range(1, 6)
            if common < 1
        }
        fits = shares and all(0 < share <= 1 for share in shares.values())
        if fits and shares[1] < 1:
            return lambda count: shares.get(count, 1) * count
    return lambda count: count - 0.5


def grams_of(tables):
    """What tables hold, by n-gram: log-probability and back-off."""
    tokens = [(token,) for token in range(VOCABULARY_SIZE)]
    grams = {}
    for order, table in enumerate(tables, start=1):
        if order > 1:
            tokens = [
                tokens[key // VOCABULARY_SIZE] + (key % VOCABULARY_SIZE,)
                for key in table.keys[:-1].tolist()
            ]
        values = zip(table.log_probs, table.backoffs, strict=True)
        grams.update(zip(tokens, values, strict=False))
    return grams


def backed_off(tables):
    """The function of history and token that tables stand for."""
    grams = grams_of(tables)

    def probability(history, token):
        history = history[max(len(history) - len(tables) + 1, 0) :]
        gram = (*history, token)
        if gram in grams:
            return np.exp(float(grams[gram][0]))
        weight = np.exp(float(grams[history][1])) if history in grams else 1.0
        return weight * probability(history[1:], token)

    return probability


def histories(documents, order, seed=0):
    """Histories that occur, and some that do not."""
    random = np.random.default_rng(seed)
    found = {history for history, _ in observations(documents)}
    made = {
        tuple(random.integers(4, VOCABULARY_SIZE, length).tolist())
        for length in range(order + 1)
        for _ in range(4)
    }
    return [*sorted(found)[:60], *sorted(made)]


def distribution(probability, history):
    """The probabilities of all tokens, [V]."""
    return [probability(history, token) for token in range(VOCABULARY_SIZE)]
