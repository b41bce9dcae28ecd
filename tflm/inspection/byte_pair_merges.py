"""Byte-pair encoding on a handful of words, merge by merge."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

# The example of Jurafsky and Martin's chapter: five words and their counts.
EXAMPLE = {"low": 5, "lowest": 2, "newer": 6, "wider": 3, "new": 2}
END_OF_WORD = "_"


class Merge(NamedTuple):
    """A merge: the pair, how often it stood there, the words after it."""

    pair: tuple[str, str]
    frequency: int
    words: list[str]  # their symbols with spaces between them


def byte_pair_merges(
    words: Mapping[str, int] = EXAMPLE, merges: int = 8
) -> list[Merge]:
    """Learns byte-pair encoding from counted words.

    Each step joins the pair of neighbouring symbols that is the most
    frequent; of equals, the one that comes first in the words.

    Args:
        words: Mapping of word to count. Default: the textbook's five words.
        merges: int. Steps at the most. Default 8.

    Returns:
        The merges in order; fewer than asked for where no pair is left.

    References: Sennrich et al., 2016, https://arxiv.org/abs/1508.07909;
    Jurafsky and Martin, "Speech and language processing", chapter 2.

    Example:
    >>> for merge in byte_pair_merges({"aab": 3, "ab": 1}, merges=2):
    ...     print(merge)
    Merge(pair=('a', 'b'), frequency=4, words=['a ab _', 'ab _'])
    Merge(pair=('ab', '_'), frequency=4, words=['a ab_', 'ab_'])
    """
    symbols = [[*word, END_OF_WORD] for word in words]
    found = []
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in zip(symbols, words.values(), strict=True):
            for pair in zip(word, word[1:], strict=False):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: pairs[pair])  # the first of equals
        symbols = [_merged(word, best) for word in symbols]
        found.append(Merge(best, pairs[best], [" ".join(w) for w in symbols]))
    return found


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in word:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged
