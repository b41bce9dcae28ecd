"""A sample of a corpus, in one pass and in bounded memory."""

from collections.abc import Iterable, Iterator

import tensorflow as tf

from tflm.tokenizers.batches import each

# A line longer than this is several.
_LONGEST = 2_000
_RANGE = 2**64
# Knuth's multiplier: multiples of it are spread evenly over the range.
_SPREAD = 0x9E3779B97F4A7C15


def sample_lines(
    texts: Iterable[str | bytes | tf.Tensor], characters: int
) -> list[str]:
    r"""Lines from all over a corpus, about as many characters as are wanted.

    Which lines are taken depends on their numbers alone, so that one corpus
    gives one sample. A corpus with fewer characters is taken whole.

    Args:
        texts: Iterable or `tf.data.Dataset` of scalar strings.
        characters: int. Characters of the sample, without line ends: at the
            most, and at least half as many if the corpus has them.

    Returns:
        The lines, in their order, none of them empty. What is not UTF-8 is
        U+FFFD.

    Example:
    >>> sample_lines(["one\ntwo\n", "three"], 100)
    ['one', 'two', 'three']
    """
    kept: list[tuple[int, str]] = []
    size, bound = 0, _RANGE
    for number, line in enumerate(_lines(texts)):
        place = number * _SPREAD % _RANGE
        if place >= bound:
            continue
        kept.append((place, line))
        size += len(line)
        while size > characters and len(kept) > 1:
            bound //= 2
            kept = [entry for entry in kept if entry[0] < bound] or kept[:1]
            size = sum(len(entry[1]) for entry in kept)
    return [line[:characters] for _, line in kept]


def _lines(texts: Iterable[str | bytes | tf.Tensor]) -> Iterator[str]:
    for text in each(texts):
        for line in text.decode("utf-8", "replace").split("\n"):
            for first in range(0, len(line), _LONGEST):
                yield line[first : first + _LONGEST]
