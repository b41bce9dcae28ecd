"""Words between white space, cut further by what Unicode says of them.

Axes: L lines, (W) words of a line, ragged, N words, (P) tokens of a word,
ragged, (T) tokens of a line, ragged.
"""

from collections import Counter

import numpy as np
import tensorflow as tf

# A token that stands right behind another begins with it, as no word can.
JOINER = " "

# Numbers, words with their apostrophes, and any other character alone. Marks
# and zero-width joiners stay with what they follow, as in Unicode's own rule
# (https://www.unicode.org/reports/tr29, WB4).
_EXTENDS = r"\p{M}\x{200C}\x{200D}"
_LETTERS = rf"[\p{{L}}\p{{N}}_{_EXTENDS}]+"
_TOKEN = (
    r"(\p{N}+(?:[.,]\p{N}+)+"
    rf"|{_LETTERS}(?:['’]{_LETTERS})*|.[{_EXTENDS}]*)"
)


def cut(words: tf.Tensor, unknown_word: str) -> tf.RaggedTensor:
    """The tokens of words [N], [N,(P)], all but the first with a joiner."""
    # No word has a newline inside: it marks where a token ends.
    marked = tf.strings.regex_replace(words, _TOKEN, "\\1\n")
    marked = tf.where(words == unknown_word, words, marked)
    tokens = tf.strings.split(marked)
    flat, row = tokens.flat_values, tokens.value_rowids()
    joined = tf.concat([row[:1] < 0, row[1:] == row[:-1]], axis=0)
    return tokens.with_flat_values(tf.where(joined, JOINER + flat, flat))


def counts_of_tokens(
    counts: Counter[bytes], unknown_word: str
) -> Counter[bytes]:
    """The counts of tokens in words that occur as often as they are said to."""
    tokens = cut(tf.constant(list(counts), tf.string), unknown_word)
    times = np.fromiter(counts.values(), np.int64, len(counts))
    of_tokens: Counter[bytes] = Counter()
    for token, number in zip(
        tokens.flat_values.numpy().tolist(),
        times[tokens.value_rowids()].tolist(),
        strict=True,
    ):
        of_tokens[token] += number
    return of_tokens


def rows_of(words: tf.RaggedTensor, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
    """The tokens of words [N,(P)] by the rows of words [L,(W)]: [L,(T)]."""
    starts = tf.gather(tokens.row_splits, words.row_splits)
    return tf.RaggedTensor.from_row_splits(tokens.flat_values, starts)
