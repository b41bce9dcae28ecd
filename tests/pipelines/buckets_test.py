import itertools

import numpy as np
import pytest

from tflm.pipelines.buckets import bucket_bounds


def positions(lengths, bounds):
    """What the lengths take, each rounded up to a bound."""
    return sum(min(b for b in bounds if b >= length) for length in lengths)


@pytest.mark.parametrize("seed", range(40))
def test_no_other_bounds_pad_less(seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 11, random.integers(1, 30))
    most = int(random.integers(1, 5))
    longest = int(lengths.max())
    below = range(1, longest)
    choices = [
        [*chosen, longest]
        for count in range(most)
        for chosen in itertools.combinations(below, count)
    ]
    bounds = bucket_bounds(lengths, most)
    assert len(bounds) <= most
    assert bounds[-1] == longest
    least = min(positions(lengths, choice) for choice in choices)
    assert positions(lengths, bounds) == least


def test_long_lengths_are_told_apart_roughly():
    lengths = np.array([3, 100_000, 99_999, 50_000])
    bounds = bucket_bounds(lengths, most=3)
    assert bounds[-1] == 100_000
    # Nearly no padding but that of the shortest.
    assert positions(lengths, bounds) < lengths.sum() + 4 * 100_000 / 500
