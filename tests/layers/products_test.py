"""Products of bfloat16 by XLA are exact sums of what is rounded."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.kernel_calls import kernel_calls
from tflm import processor
from tflm.layers import fused, products, row_part


def _rounded(random, *shape):
    return tf.cast(random.normal(size=shape), tf.bfloat16)


@pytest.mark.parametrize("columns", [1, 16, 17, 32, 40])
@pytest.mark.parametrize("batch", [[], [3]])
def test_products_are_not_rounded(columns, batch):
    random = np.random.default_rng(0)
    left = _rounded(random, *batch, 20, 30)
    right = _rounded(random, *batch, 30, columns)
    exact = left.numpy().astype(float) @ right.numpy().astype(float)
    turned = tf.linalg.matrix_transpose(right)
    multiply = fused.fused_apart(products.matmul)
    for actual in multiply(left, right), multiply(left, turned, True):
        assert actual.dtype == tf.float32
        np.testing.assert_allclose(actual, exact, rtol=1e-5, atol=1e-5)


def test_shapes_may_be_unknown_until_run_time():
    random = np.random.default_rng(1)
    unknown = tf.TensorSpec([None, None], tf.bfloat16)
    multiply = fused.fused_apart(products.matmul)
    run = tf.function(multiply, input_signature=[unknown, unknown])
    for columns in 3, 50:
        left, right = _rounded(random, 4, 5), _rounded(random, 5, columns)
        exact = left.numpy().astype(float) @ right.numpy().astype(float)
        np.testing.assert_allclose(
            run(left, right), exact, rtol=1e-5, atol=1e-5
        )


def test_they_are_for_whole_rows_in_bfloat16(monkeypatch):
    assert products.are_faster(tf.bfloat16)
    assert not products.are_faster(tf.float32)
    assert not products.are_faster(tf.float16)
    with row_part.working_on(0):
        assert not products.are_faster(tf.bfloat16)
    monkeypatch.setattr(products, "xla_works", lambda: False)
    assert not products.are_faster(tf.bfloat16)


def test_they_are_for_processors_with_amx(monkeypatch):
    for feature, expected in ("amx_bf16", True), ("avx512_bf16", False):
        monkeypatch.setattr(processor, "has", feature.__eq__)
        assert products.are_faster(tf.bfloat16) is expected


def test_in_a_graph_each_has_a_kernel_of_its_own():
    traced = []

    def total(values):
        traced.append(values)
        return tf.reduce_sum(values)

    @tf.function
    def run(values):
        first, second = fused.fused_apart(total), fused.fused_apart(total)
        return first(values), second(values), first(values)

    values = tf.constant([1.0, 2.0])
    assert [float(sum_) for sum_ in run(values)] == [3.0, 3.0, 3.0]
    summing, others = kernel_calls(run, values)
    assert sorted(summing.values()) == [1, 2] and not others
    assert len(traced) == 1  # for all of them
