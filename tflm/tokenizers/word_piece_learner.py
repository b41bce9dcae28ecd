"""WordPiece vocabularies learnt from counted words.

It gives what TF-Text's `wordpiece_tokenizer_learner_lib` gives, sooner. There
every beginning of what may be a token is counted, and a token's count is then
taken from its beginnings: left of each is how often it ends a word. So here
the ends of words alone are counted, and least counts that cannot give enough
tokens are passed over.
"""

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping

from tflm.tokenizers.splitting import JOINER

_ROUNDS = 4  # in each, words are cut into the tokens of the one before
_LONGEST_TOKEN = 50  # characters
_SLACK = 0.05  # share of the vocabulary that may be missing


def learn(
    word_counts: Mapping[str, int], vocabulary_size: int, min_count: int
) -> list[str]:
    """Learns tokens, by a binary search for the least count that they have.

    Args:
        word_counts: How often each word occurs; no word has `JOINER` in it.
        vocabulary_size: int. The most tokens wanted. There are more only if
            there is no least count from `min_count` on that gives fewer.
        min_count: int. The lowest least count. Single characters are tokens
            however rare they are.

    Returns:
        The characters in their order, then all tokens, the most frequent
        first, equal counts in alphabetical order. Those that go on with a
        word begin with `JOINER`.

    Example:
    >>> learn({"sing": 9, "sings": 5, "ring": 5}, 13, min_count=1)[:9]
    ['g', 'i', 'n', 'r', 's', 'sing', 'ring', 'sings', ' g']
    """
    lower = max(min(word_counts.values()), min_count)
    upper = max(word_counts.values())
    learner = _Learner(word_counts)
    while True:
        least = (upper + lower) // 2
        last = lower >= upper or least <= 1
        slack = _SLACK * vocabulary_size
        if last or vocabulary_size - learner.most_tokens(least) <= slack:
            tokens = learner.tokens(least)
            if last or 0 <= vocabulary_size - len(tokens) <= slack:
                return tokens
            if len(tokens) > vocabulary_size:
                lower = least + 1
                continue
        upper = least - 1


class _Learner:
    """Words and how often each of their ends occurs."""

    def __init__(self, word_counts: Mapping[str, int]):
        self.words = {
            word: count
            for word, count in word_counts.items()
            if len(word) <= _LONGEST_TOKEN
        }
        self.alphabet = sorted(
            {letter for word in self.words for letter in word}
        )
        self.ends: Counter[str] = Counter()
        for word, count in self.words.items():
            self.ends[word] += count
            for start in range(1, len(word)):
                self.ends[JOINER + word[start:]] += count
        self.ascending = sorted(self.ends.values())

    def most_tokens(self, least: int) -> int:
        """A number that `tokens` gives no more than: no round adds ends."""
        frequent = len(self.ascending) - bisect.bisect_left(
            self.ascending, least
        )
        return frequent + 2 * len(self.alphabet)

    def tokens(self, least: int) -> list[str]:
        """The tokens that end words at least so often."""
        counts = self._with_alphabet(self.ends, least)
        for _ in range(_ROUNDS - 1):
            ends: Counter[str] = Counter()
            longest = max(map(len, counts), default=0)
            for word, count in self.words.items():
                for end in _ends(word, counts, longest):
                    ends[end] += count
            counts = self._with_alphabet(ends, least)
        ordered = sorted(counts, key=lambda token: (-counts[token], token))
        return list(dict.fromkeys([*self.alphabet, *ordered]))

    def _with_alphabet(
        self, ends: Mapping[str, int], least: int
    ) -> dict[str, int]:
        kept = {end: count for end, count in ends.items() if count >= least}
        for letter in self.alphabet:
            kept.setdefault(letter, 1)
            kept.setdefault(JOINER + letter, 1)
        return kept


def _ends(word: str, tokens: Mapping[str, int], longest: int) -> Iterator[str]:
    """The word, and what is left of it behind each of its tokens."""
    rest = word
    while True:
        yield rest
        size = min(len(rest), longest)
        while rest[:size] not in tokens:
            size -= 1
        if size == len(rest):
            return
        rest = JOINER + rest[size:]
