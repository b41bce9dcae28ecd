import threading

import pytest

from tflm import parallel


def test_results_come_in_order_though_the_first_takes_longest():
    second_is_done = threading.Event()

    def function(value):
        if value == 0:
            assert second_is_done.wait(10)
        if value == 1:
            second_is_done.set()
        return value * 2

    assert list(parallel.mapped(function, range(9))) == [*range(0, 18, 2)]


def test_no_more_is_read_than_is_worked_on():
    read = []

    def values():
        for number in range(20):
            read.append(number)
            yield number

    results = parallel.mapped(abs, values())
    next(results)
    assert len(read) <= 4


def test_error_is_raised_where_its_result_is_asked_for():
    results = parallel.mapped(lambda value: 1 // value, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
