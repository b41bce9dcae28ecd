import os

import numpy as np
import pytest
import tensorflow as tf

from tflm.layers import made_once
from tflm.models import part_count, side_by_side
from tflm.models.row_shares import MOST_PARTS


def machine(monkeypatch, threads=1, cores=2, gpus=()):
    monkeypatch.setattr(
        tf.config.threading,
        "get_intra_op_parallelism_threads",
        lambda: threads,
    )
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(
        tf.config, "list_physical_devices", {"GPU": list(gpus)}.get
    )


@pytest.mark.parametrize(
    ("batch_size", "cores", "expected"),
    [(64, 2, 2), (64, 1, 1), (63, 2, 1), (6, 4, 2), (1, 2, 1), (None, 2, 1)],
)
def test_each_core_gets_as_many_rows(monkeypatch, batch_size, cores, expected):
    machine(monkeypatch, cores=cores)
    assert part_count(batch_size) == expected


def test_there_are_not_too_many_parts(monkeypatch):
    machine(monkeypatch, cores=64)
    assert part_count(64) == MOST_PARTS


@pytest.mark.parametrize(
    "other", [{"threads": 0}, {"threads": 2}, {"gpus": ["one"]}]
)
def test_rows_stay_together_where_operations_use_all_cores(monkeypatch, other):
    machine(monkeypatch, **other)
    assert part_count(64) == 1


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_results_are_those_of_all_rows(parts):
    rows = tf.reshape(tf.range(24.0), [6, 4])
    seen = []

    def function(values, state, mask):
        seen.append(values.shape[0])
        assert mask is None
        sums = tf.reduce_sum(values, axis=1, keepdims=True)
        return values * 2, {"sum": state["sum"] + sums}

    state = {"sum": tf.range(6.0)[:, tf.newaxis]}
    doubled, after = side_by_side(function, parts, rows, state, None)
    assert seen == [6 // parts] * parts
    np.testing.assert_array_equal(doubled, 2 * rows)
    np.testing.assert_array_equal(
        after["sum"], state["sum"] + tf.reduce_sum(rows, 1, keepdims=True)
    )


def test_what_is_made_of_weights_is_made_for_all_parts_at_once():
    made = []

    def function(rows):
        return rows * made_once.made("two", lambda: made.append(0) or 2)

    for _ in range(2):
        doubled = side_by_side(function, 3, tf.range(6))
        assert doubled.numpy().tolist() == [0, 2, 4, 6, 8, 10]
    assert len(made) == 2
