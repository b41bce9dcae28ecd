import numpy as np
import pytest
import tensorflow as tf

from tflm import sampling

OUT = -np.inf


@pytest.fixture
def logits():
    """Rows full of ties: [200,9], rounded to halves."""
    random = np.random.default_rng(0)
    return (np.round(random.normal(size=(200, 9)) * 4) / 2).astype(np.float32)


def brute_top_k(row, k):
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    kept = order[: k or None]
    return [row[i] if i in kept else OUT for i in range(len(row))]


def brute_top_p(row, p):
    if p == 1:
        return list(row)
    shares = np.exp(np.float64(row)) / np.exp(np.float64(row)).sum()
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    kept, reached = [], 0.0
    for i in order:
        if reached >= p:
            break
        kept.append(i)
        reached += shares[i]
    return [row[i] if i in kept else OUT for i in range(len(row))]


def test_ban_takes_ids_out_of_every_row():
    banned = tf.constant([True, False, True])
    allowed = sampling.ban(tf.constant([[1.0, 2, 3], [4, 5, 6]]), banned)
    np.testing.assert_array_equal(allowed, [[OUT, 2, OUT], [OUT, 5, OUT]])


def test_temperature_divides_each_row_by_its_own():
    logits = tf.constant([[1.0, 2.0]] * 3)
    scaled = sampling.scale(logits, tf.constant([0.0, 1.0, 0.25]))
    np.testing.assert_array_equal(scaled, [[1, 2], [1, 2], [4, 8]])


def test_temperature_near_zero_leaves_the_highest_alone():
    scaled = sampling.scale(
        tf.constant([[-90.0, 90.0, 89.9]]), tf.constant([1e-37])
    )
    assert np.isfinite(scaled).all()
    np.testing.assert_array_equal(tf.nn.softmax(scaled), [[0, 1, 0]])


def test_top_k_keeps_exactly_k_of_equal_logits(logits):
    top_k = np.arange(len(logits), dtype=np.int32) % 12  # 0 and beyond V too
    kept = sampling.keep_top_k(tf.constant(logits), tf.constant(top_k))
    brute = [brute_top_k(*row) for row in zip(logits, top_k, strict=True)]
    np.testing.assert_array_equal(kept, brute)


def test_top_p_keeps_the_smallest_set_that_reaches_p(logits):
    top_p = np.linspace(0.01, 1.0, len(logits)).astype(np.float32)
    kept = sampling.keep_top_p(tf.constant(logits), tf.constant(top_p))
    brute = [brute_top_p(*row) for row in zip(logits, top_p, strict=True)]
    np.testing.assert_array_equal(kept, brute)


def test_top_p_of_almost_nothing_keeps_the_highest():
    kept = sampling.keep_top_p(
        tf.constant([[1.0, 2.0, 2.0]]), tf.constant([1e-30])
    )
    np.testing.assert_array_equal(kept, [[OUT, 2, OUT]])


def test_top_p_that_is_off_keeps_what_is_all_but_impossible():
    logits = tf.constant([[0.0, -50.0, -60.0]] * 2)
    kept = sampling.keep_top_p(logits, tf.constant([1.0, 0.9]))
    np.testing.assert_array_equal(kept, [[0, -50, -60], [0, OUT, OUT]])


def test_top_p_counts_the_probability_that_top_k_left():
    logits = tf.math.log([[0.4, 0.3, 0.2, 0.1]])
    settings = sampling.row_settings(1, top_k=2, top_p=0.5)
    # 0.4 of 0.7 reaches a half; 0.4 of 1.0 would not.
    kept = sampling.filter_logits(logits, settings)
    assert np.isfinite(kept).tolist() == [[True, False, False, False]]


def test_top_p_counts_the_probability_at_the_temperature():
    logits = tf.math.log([[0.4, 0.3, 0.2, 0.1]])
    settings = sampling.row_settings(1, temperature=0.25, top_p=0.7)
    # To the fourth power: 256 of 354 parts reach 0.7.
    kept = sampling.filter_logits(logits, settings)
    assert np.isfinite(kept).tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("off", [{}, {"top_k": 100}])
def test_filters_that_are_off_change_nothing(logits, off):
    settings = sampling.row_settings(len(logits), **off)
    kept = sampling.filter_logits(tf.constant(logits), settings)
    np.testing.assert_array_equal(kept, logits)


def test_filters_that_are_off_are_not_computed():
    @tf.function
    def filtered(logits, settings):
        return sampling.filter_logits(logits, settings)

    settings = sampling.row_settings(1)
    concrete = filtered.get_concrete_function(tf.zeros([1, 5]), settings)
    operations = {op.type for op in concrete.graph.get_operations()}
    assert not operations & {"TopKV2", "Softmax", "Cumsum", "RealDiv"}
    assert len(operations & {"If", "StatelessIf"}) >= 1
