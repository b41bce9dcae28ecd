"""Heads and their attention beside what defines them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.gradients import TOLERANCES, assert_alike, normal
from tflm.layers import heads

SEEN = tf.constant(
    [[[True, False, False], [True, True, False], [False, True, True]]]
)


def alike(tensors):
    return [tf.cast(tensor, tensors[0].dtype) for tensor in tensors]


def plain_heads(joined, angles=None):
    """Numbers of a pair as a complex one, turned by a factor."""
    queries, keys, values = tf.split(joined, 3, axis=-1)
    parts = []
    for part in (queries, keys, values):
        split = tf.stack(tf.split(part, 2, axis=-1), axis=1)  # [B,H,T,W]
        if angles is not None and part is not values:
            turned = tf.complex(*tf.split(split, 2, axis=-1))
            turned *= tf.complex(*angles)
            parts_of = [tf.math.real(turned), tf.math.imag(turned)]
            split = tf.concat(parts_of, axis=-1)
        parts.append(split)
    return tf.stack(parts)


def plain_attention(queries, keys, values, kept=1.0):
    scores = tf.einsum("bhtw,bhkw->bhtk", queries, keys) / np.sqrt(6)
    weights = tf.nn.softmax(tf.where(SEEN[:, None], scores, -np.inf)) * kept
    return tf.einsum("bhtk,bhkw->bhtw", weights, values)


ANGLE = np.arange(10, dtype=np.float32).reshape(1, 1, 5, 2)
ANGLES = tf.cos(ANGLE), tf.sin(ANGLE)
KEPT = tf.constant(
    np.random.default_rng(7).integers(0, 2, [2, 4, 3, 3]) * 2, tf.float32
)
CASES = {
    "split heads": (
        lambda x, bias: tf.stack(heads.split_heads(x, bias, 2)),
        lambda x, bias: plain_heads(x + bias),
        [normal(2, 5, 24), normal(24, seed=1)],
    ),
    "split heads and turn": (
        lambda x, bias: tf.stack(heads.split_heads(x, bias, 2, ANGLES)),
        lambda x, bias: plain_heads(x + bias, ANGLES),
        [normal(2, 5, 24), normal(24, seed=1)],
    ),
    "attend": (
        lambda *x: heads.attend(*alike(x), SEEN),
        plain_attention,
        [normal(2, 4, 3, 6, seed=n, scale=2.0) for n in range(3)],
    ),
    "attend with dropout": (
        lambda *x: heads.attend(*alike(x), SEEN, *alike([x[0], KEPT])[1:]),
        lambda *x: plain_attention(*x, KEPT),
        [normal(2, 4, 3, 6, seed=n, scale=2.0) for n in range(3)],
    ),
}


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_tensorflows(name, dtype, xla, monkeypatch):
    assert_alike(*CASES[name], dtype, xla, monkeypatch)


def test_what_is_not_seen_weighs_nothing_and_gives_no_gradient():
    queries, keys, values = (normal(2, 4, 3, 6, seed=n) for n in range(3))
    keys = tf.tensor_scatter_nd_update(keys, [[0, 0, 2]], tf.fill([1, 6], 1e6))
    with tf.GradientTape() as tape:
        tape.watch([keys, values])
        mixed = heads.attend(queries, keys, values, SEEN)
        loss = tf.reduce_sum(mixed[:, :, :2])
    for gradient in tape.gradient(loss, [keys, values]):
        assert not gradient[:, :, 2].numpy().any()
    np.testing.assert_array_equal(mixed[:, :, 0], values[:, :, 0])


def test_query_that_sees_nothing_gives_numbers_in_float16():
    """Scores far below zero are left, though no number is below them."""
    queries = tf.fill([1, 1, 2, 4], tf.constant(6, tf.float16))
    seen = tf.constant([[[False, False], [True, False]]])
    mixed = heads.attend(queries, -queries, queries, seen)
    np.testing.assert_array_equal(mixed, queries)
