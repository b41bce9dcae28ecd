from collections import Counter

import numpy as np
import pytest

from tests.documents import FIRST, numbered, store_of
from tflm.pipelines import RandomWindows

TOTAL = 40
STORE = store_of(numbered([17, 1, 22]))
STARTS = {0, 17, 18}


def test_window_is_a_stretch_of_the_text_with_its_inputs():
    batches = RandomWindows(STORE, 6, 5, seed=1).dataset(epochs=20)
    for inputs, targets, weights in batches.as_numpy_iterator():
        assert targets.shape == (5, 6)
        assert weights.min() == 1
        for given, row in zip(inputs, targets - FIRST, strict=True):
            assert row.tolist() == list(range(row[0], row[0] + 6))
            before = [2 if p in STARTS else p - 1 + FIRST for p in row]
            assert given.tolist() == before


def test_every_offset_is_as_likely_as_any_other():
    windows = RandomWindows(STORE, 6, 50, seed=2)
    firsts = [windows.read(step).targets[:, 0] - FIRST for step in range(400)]
    counts = np.bincount(np.concatenate(firsts), minlength=35)
    assert len(counts) == TOTAL - 6 + 1
    expected = 400 * 50 / len(counts)
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < 68  # chi-square, 34 degrees of freedom: 1 in 2,000


def test_batches_are_functions_of_seed_and_step():
    windows = RandomWindows(STORE, 6, 5, seed=3)
    all_ = list(windows.dataset(epochs=2).as_numpy_iterator())
    assert len(all_) == windows.steps(2) == -(-2 * TOTAL // 30)
    assert windows.epoch(4) == 4 * 30 / TOTAL
    later = list(windows.dataset(first_step=1, epochs=2).as_numpy_iterator())
    np.testing.assert_array_equal(later[0].targets, all_[1].targets)
    other = RandomWindows(STORE, 6, 5, seed=4).read(0)
    assert (other.targets != all_[0].targets).any()
    assert Counter(all_[0].targets[0].tolist()) != Counter(
        all_[1].targets[0].tolist()
    )


def test_text_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="--seq_len 40 or less.*seq_len=41"):
        RandomWindows(STORE, 41, 5, seed=0)
