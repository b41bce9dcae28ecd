import pytest
import tensorflow as tf

from tests.layers.kernel_calls import kernel_calls
from tflm.layers import row_part
from tflm.layers.fused import fused_by_part


def test_the_part_is_that_of_the_innermost():
    with row_part.working_on(2):
        with row_part.working_on(1):
            assert row_part.index() == 1
        assert row_part.index() == 2
    assert row_part.index() == 0


def test_no_part_is_worked_on_behind_an_error():
    with pytest.raises(KeyError), row_part.working_on(1):
        raise KeyError
    assert row_part.index() == 0


def test_each_part_has_a_kernel_of_its_own():
    total = fused_by_part(tf.reduce_sum)

    @tf.function
    def of_parts(values):
        return [total(part)(values) for part in (0, 1, 0)]

    values = tf.constant([1.0, 2.0])
    assert [float(sum_) for sum_ in of_parts(values)] == [3.0, 3.0, 3.0]
    summing, others = kernel_calls(of_parts, values)
    assert sorted(summing.values()) == [1, 2] and not others
