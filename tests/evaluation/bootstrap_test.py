import math

import numpy as np
import pytest

from tflm.evaluation import bootstrap
from tflm.evaluation.bootstrap import FEWEST, interval


def random_parts(count, seed=0):
    random = np.random.default_rng(seed)
    return random.gamma(2, 3, count), random.integers(1, 9, count)


def brute_interval(numerators, denominators, share, resamples, seed):
    """The same resamples, one part after another, in plain Python."""
    count = len(numerators)
    drawn = np.random.default_rng(seed).integers(count, size=[resamples, count])
    ratios = []
    for row in drawn.tolist():
        above = math.fsum(float(numerators[part]) for part in row)
        below = math.fsum(float(denominators[part]) for part in row)
        ratios.append(above / below)
    ratios.sort()
    return [
        quantile(ratios, (1 - share) / 2),
        quantile(ratios, (1 + share) / 2),
    ]


def quantile(ordered, share):
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@pytest.mark.parametrize("count", [FEWEST, 37])
@pytest.mark.parametrize("share", [0.95, 0.5])
def test_interval_is_that_of_resampling_by_hand(count, share):
    parts = random_parts(count)
    found = interval(*parts, share, resamples=300, seed=5)
    expected = brute_interval(*parts, share, resamples=300, seed=5)
    assert found == pytest.approx(expected, rel=1e-12)


def test_interval_holds_the_truth_about_as_often_as_it_says():
    # Means of parts whose sizes and costs go together, as those of texts do.
    random = np.random.default_rng(1)
    texts, held = 500, 0
    for _ in range(texts):
        sizes = random.integers(500, 1500, 60)
        costs = sizes * random.gamma(20, 0.1, 60)  # 2 for each of the size
        low, high = interval(costs, sizes, resamples=500)
        held += low <= 2 <= high
    assert 0.92 <= held / texts <= 0.975


def test_interval_narrows_with_the_root_of_the_parts():
    widths = []
    for count in (100, 1600):
        low, high = interval(*random_parts(count))
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_draws_at_once_do_not_matter(monkeypatch):
    parts = random_parts(50)
    whole = interval(*parts)
    monkeypatch.setattr(bootstrap, "_MOST_DRAWN", 333)
    assert interval(*parts) == whole
    monkeypatch.setattr(bootstrap, "_MOST_DRAWN", 1)
    assert interval(*parts) == whole


def test_equal_parts_leave_no_doubt():
    found = interval(np.full(20, 6.0), np.full(20, 4))
    assert found == (1.5, 1.5)


def test_there_is_no_interval_where_nothing_can_be_said():
    above, below = random_parts(30)
    few = FEWEST - 1
    assert interval(above[:few], below[:few]) is None
    above[3] = np.inf
    assert interval(above, below) is None
    assert interval(np.ones(30), np.zeros(30)) is None
