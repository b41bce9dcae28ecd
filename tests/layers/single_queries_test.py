import numpy as np
import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tflm import models
from tflm.layers import single_queries
from tflm.tokenizers import Characters

BATCH, HEADS, WIDTH = 3, 2, 8
DTYPES = [("float32", 1e-6), ("bfloat16", 2e-2)]


def drawn(*shape):
    """float64 numbers that are the same in every dtype."""
    random = np.random.default_rng(sum(shape))
    numbers = tf.cast(random.normal(size=shape), tf.bfloat16)
    return tf.cast(numbers, tf.float64)


@pytest.mark.parametrize(("dtype", "error"), DTYPES)
@pytest.mark.parametrize("count", [0, 1, 13])
def test_scores_are_scaled_products(dtype, error, count):
    queries = drawn(BATCH, HEADS, 1, WIDTH)
    keys = drawn(BATCH, HEADS, WIDTH, count)
    expected = queries.numpy() @ keys.numpy() / WIDTH**0.5
    queries, keys = tf.cast(queries, dtype), tf.cast(keys, dtype)
    turned = tf.transpose(keys, [0, 1, 3, 2])
    for found in (
        single_queries.scores(queries, keys),
        single_queries.scores(queries, turned, transpose_keys=True),
    ):
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected, rtol=error, atol=error)


@pytest.mark.parametrize(("dtype", "error"), DTYPES)
@pytest.mark.parametrize("counts", [(13,), (9, 4), (0, 5), (2, 0, 3)])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_mixture_is_that_of_the_softmax(dtype, error, counts, scale):
    scores = scale * drawn(BATCH, HEADS, 1, sum(counts)).numpy()
    scores[..., 1] = -1e9  # not seen
    values = drawn(BATCH, HEADS, sum(counts), WIDTH)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    expected = weights @ values.numpy()
    parts = tf.split(tf.cast(values, dtype), counts, axis=2)
    found = single_queries.mixture(tf.cast(scores, tf.float32), tuple(parts))
    assert found.dtype == dtype
    np.testing.assert_allclose(
        tf.cast(found, tf.float64), expected, rtol=error, atol=error
    )


def operations(graph):
    """The types of a graph's operations and of those of its functions."""
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    return {node.op for node in nodes}


def test_tokens_of_a_gpt_wake_up_no_thread_of_onednn():
    """They are read with none of the operations that it takes over."""
    model = random_model(models.GPT, Characters("abc"))
    steps = model.steps(count=4)

    def in_blocks(ids, state):
        there = tf.ones_like(ids, tf.bool)
        return steps.read(steps.weights(), ids, there, steps.begin(state))

    def by_the_ring(ids, state):
        return model(ids[:, tf.newaxis], initial_state=state, return_state=True)

    for read in (in_blocks, by_the_ring):
        traced = tf.function(read).get_concrete_function(
            tf.constant([3, 4]), model.get_initial_state(2)
        )
        found = operations(traced.graph)
        assert "BatchMatMulV3" in found
        assert not {"BatchMatMul", "BatchMatMulV2", "Softmax", "Einsum"} & found
