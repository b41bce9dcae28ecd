"""The n-grams of a text and how often each occurs.

An n-gram is a target after the n - 1 tokens before it. The first target of a
document follows START alone, so that no history reaches into the document
before; an n-gram never holds START but as its first token.

Axes: N all targets of a split, S n-grams of an order, V vocabulary.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm.tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True)
class Grams:
    """The n-grams of one order, sorted by their tokens' ids.

    Of order 1 there are V, one for each id, seen or not. Index i of a prefix
    or of a suffix is a place among the n-grams that are one token shorter;
    the only prefix of order 1 is the empty one, 0.

    Attributes:
        keys: int64 [S], ascending: the index of the prefix, times V, plus
            the last token.
        counts: int32 [S]. How often each occurs.
        suffixes: int32 [S]. Index of the n-gram without its first token; for
            order 1, the token itself.
    """

    keys: np.ndarray
    counts: np.ndarray
    suffixes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Counts:
    """What occurs in a text, by order.

    Attributes:
        vocabulary_size: int. V.
        orders: The n-grams of order 1, 2, ...
    """

    vocabulary_size: int
    orders: list[Grams]

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.orders)

    def uniform(self) -> np.ndarray:
        """float64 [V]: equal probabilities, 0 for padding and for START."""
        share = np.ones(self.vocabulary_size)
        share[[Tokenizer.pad_id, Tokenizer.start_id]] = 0
        return share / share.sum()

    def prefixes(self, order: int) -> np.ndarray:
        """int64 [S]: index of each n-gram without its last token."""
        return self.orders[order - 1].keys // self.vocabulary_size

    def contexts(self, order: int) -> int:
        """How many prefixes the n-grams of an order can have."""
        return len(self.orders[order - 2].keys) if order > 1 else 1

    def sums(self, order: int, values: np.ndarray) -> np.ndarray:
        """Sums of the n-grams' values by prefix, float64 [contexts]."""
        sums = np.bincount(
            self.prefixes(order), values, minlength=self.contexts(order)
        )
        return sums.astype(float, copy=False)  # of nothing it makes integers

    def begun(self, order: int) -> slice:
        """Where the n-grams stand whose first token is START."""
        first, last = Tokenizer.start_id, Tokenizer.start_id + 1
        for grams in self.orders[1:order]:
            bounds = np.array([first, last]) * self.vocabulary_size
            first, last = np.searchsorted(grams.keys, bounds).tolist()
        return slice(first, last)

    def continuations(self, order: int) -> np.ndarray:
        """The counts of Kneser and Ney, int [S].

        Those of the highest order, and of n-grams that begin with START, are
        the counts; elsewhere, how many different tokens stand before the
        n-gram.
        """
        counts = self.orders[order - 1].counts
        if order == self.order:
            return counts
        longer = self.orders[order].suffixes
        different = np.bincount(longer, minlength=len(counts))
        begun = self.begun(order)
        different[begun] = counts[begun]
        return different


def count(
    targets: np.ndarray,
    starts: np.ndarray | Sequence[int],
    vocabulary_size: int,
    order: int,
) -> Counts:
    """Counts the n-grams of a row of targets.

    Args:
        targets: unsigned int [N], see `pipelines.examples`.
        starts: int, ascending: where in [0, N) a document starts.
        vocabulary_size: int. V.
        order: int, at least 1. The length of the longest n-grams.

    Returns:
        The `Counts` of every order up to `order`.

    Example:
    >>> counts = count(np.array([7, 8, 3, 7, 3]), [0, 3], 9, order=2)
    >>> bigrams = counts.orders[1]
    >>> np.stack(np.divmod(bigrams.keys, 9), axis=1).tolist()
    [[2, 7], [7, 3], [7, 8], [8, 3]]
    >>> bigrams.counts.tolist()
    [2, 1, 1, 1]
    """
    starts = np.unique(np.asarray(starts, np.int64))
    starts = starts[starts < len(targets)]
    ids = np.arange(vocabulary_size)
    occurrences = np.bincount(targets, minlength=vocabulary_size)
    orders = [Grams(ids, occurrences.astype(np.int32), ids.astype(np.int32))]
    # Which n-gram of the order ends at each target; -1 where none does.
    ending = np.asarray(targets).astype(np.int32)  # [N]
    for length in range(2, order + 1):
        begin = Tokenizer.start_id if length == 2 else -1
        grams, ending = _longer(ending, targets, starts, begin, vocabulary_size)
        orders.append(grams)
    return Counts(vocabulary_size, orders)


def find(
    counts: Counts, targets: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the n-grams of another text stand among those counted.

    Args:
        counts: Of the text that was counted.
        targets: unsigned int [N]. The other text.
        starts: int. Where in [0, N) its documents start.

    Returns:
        The index of each target's context and of its n-gram, int64
        [order, N] each; -1 where it is not among those counted.
    """
    contexts = np.zeros([counts.order, len(targets)], np.int64)
    found = np.full([counts.order, len(targets)], -1, np.int64)
    found[0] = targets
    for row in range(1, counts.order):
        keys = counts.orders[row].keys
        contexts[row] = np.roll(found[row - 1], 1)
        contexts[row, starts] = Tokenizer.start_id if row == 1 else -1
        if not len(keys):
            continue
        wanted = contexts[row] * counts.vocabulary_size + targets
        places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        there = (keys[places] == wanted) & (contexts[row] >= 0)
        found[row] = np.where(there, places, -1)
    return contexts, found


def _longer(
    ending: np.ndarray,
    targets: np.ndarray,
    starts: np.ndarray,
    begin: int,
    vocabulary_size: int,
) -> tuple[Grams, np.ndarray]:
    """The n-grams one token longer, and which of them ends at each target."""
    # Every array here has N entries, so each goes as soon as it can.
    before = np.empty(len(targets), np.int64)  # [N]
    before[1:] = ending[:-1]
    before[starts] = begin
    there = np.flatnonzero(before >= 0).astype(np.int32)
    keys = before[there]
    del before
    keys *= vocabulary_size
    keys += targets[there]
    order = np.argsort(keys)
    keys = keys[order]
    there = there[order]
    del order
    new = np.flatnonzero(np.diff(keys, prepend=-1))  # [S]
    counts = np.diff(new, append=len(keys)).astype(np.int32)  # [S]
    grams = Grams(keys[new], counts, ending[there[new]])
    del keys
    longer = np.full(len(targets), -1, np.int32)  # [N]
    longer[there] = np.repeat(np.arange(len(new), dtype=np.int32), counts)
    return grams, longer
