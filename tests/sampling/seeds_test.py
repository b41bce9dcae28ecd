import numpy as np
import pytest
import tensorflow as tf

from tflm import sampling


@pytest.fixture(params=["eager", "graph"])
def row_seeds(request):
    if request.param == "eager":
        return lambda seed, rows: sampling.row_seeds(tf.constant(seed), rows)
    signature = [tf.TensorSpec(None, tf.int32), tf.TensorSpec([], tf.int32)]
    return tf.function(sampling.row_seeds, input_signature=signature)


def test_scalar_counts_up(row_seeds):
    assert row_seeds(40, 3).numpy().tolist() == [40, 41, 42]


def test_vector_is_each_rows_own(row_seeds):
    assert row_seeds([9, 0, 9], 3).numpy().tolist() == [9, 0, 9]


def test_fresh_seeds_differ_by_row_and_call(row_seeds):
    seeds = [seed for _ in range(3) for seed in row_seeds(-1, 50).numpy()]
    assert min(seeds) >= 0
    assert len(set(seeds)) == 150


def test_fresh_in_a_vector_is_for_that_row_only(row_seeds):
    first, second = (row_seeds([3, -1, 5], 3).numpy() for _ in range(2))
    np.testing.assert_array_equal(first != second, [False, True, False])
    assert first[[0, 2]].tolist() == [3, 5]


def test_fresh_seeds_heed_no_global_seed(row_seeds):
    drawn = []
    for _ in range(2):
        tf.random.set_seed(1)
        drawn.append(tuple(row_seeds(-1, 4).numpy()))
    assert drawn[0] != drawn[1]
