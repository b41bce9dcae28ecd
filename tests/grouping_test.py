import random

import pytest

from tflm.grouping import by_size


def test_groups_are_closed_by_size_or_number():
    groups = list(by_size([1, 1, 5, 0, 0, 0, 2], int, 4, 3))
    assert groups == [[1, 1, 5], [0, 0, 0], [2]]
    assert list(by_size([4, 4], int, 4, 3)) == [[4], [4]]
    assert list(by_size([], int, 4, 3)) == []


@pytest.mark.parametrize("seed", range(5))
def test_groups_joined_are_the_values_and_none_is_too_large(seed):
    choose = random.Random(seed)
    values = [choose.randrange(6) for _ in range(200)]
    groups = list(by_size(values, int, 10, 7))
    assert sum(groups, []) == values
    for group in groups:
        assert group
        assert sum(group[:-1]) < 10
        assert len(group) <= 7
    for group in groups[:-1]:
        assert sum(group) >= 10 or len(group) == 7
