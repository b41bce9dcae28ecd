"""Sampled softmax: fair draws, the loss by its formula, the right optimum."""

import numpy as np
import pytest
import tensorflow as tf

from tflm.layers import sampled_softmax

V, S, N, D = 12, 5, 6, 3


@pytest.mark.parametrize("num_sampled", [1, S, V - 0.5])
def test_chances_add_up_and_follow_the_ranks(num_sampled):
    chances = sampled_softmax.chances_of(V, num_sampled)
    np.testing.assert_allclose(chances.sum(), num_sampled, rtol=1e-5)
    # Draws with the ranks' shares: 1 - exp(-n log((i + 2) / (i + 1))).
    draws = np.log1p(-chances[-1].astype(np.float64)) / np.log(V / (V + 1))
    ranks = np.arange(V)
    expected = 1 - ((ranks + 1) / (ranks + 2)) ** draws
    np.testing.assert_allclose(chances, expected, rtol=1e-4)


def test_each_id_is_drawn_as_often_as_is_said():
    """Seen from outside: a rival of any weight shows in the nats."""
    draws = 2000
    chances = sampled_softmax.chances_of(V, S)
    weights, hidden = tf.ones([1]), tf.zeros([1, 1])
    table, target = tf.zeros([V, 1]), tf.constant([0])

    @tf.function
    def nats(bias, seed):
        return sampled_softmax.summed_nats(
            hidden, table, bias, target, weights, S, seed
        )

    for rival in (1, 6, 11):
        bias = tf.one_hot(rival, V, 50.0, 0.0)
        large = [nats(bias, tf.constant([rival, i])) for i in range(draws)]
        often = np.mean(np.array(large) > 25)
        error = np.sqrt(chances[rival] * (1 - chances[rival]) / draws)
        assert abs(often - chances[rival]) < 4 * error


@pytest.fixture(name="batch")
def fixture_batch():
    random = np.random.default_rng(0)
    return [
        random.normal(size=[N, D]).astype(np.float32),
        random.normal(size=[V, D]).astype(np.float32),
        random.normal(size=[V]).astype(np.float32),
        np.array([0, 1, 11, 3, 3, 7], np.int32),
        np.array([1, 0.5, 2, 0, 1, 1], np.float32),
    ]


def test_nats_are_those_of_the_formula(batch):
    hidden, table, bias, targets, weights = batch
    chances = sampled_softmax.chances_of(V, S)
    for seed in range(5):
        uniform = tf.random.stateless_uniform([V], [seed, 1], alg="philox")
        ids = np.flatnonzero(uniform.numpy() < chances)
        expected = 0.0
        for state, target, weight in zip(hidden, targets, weights, strict=True):
            scores = {
                i: state @ table[i] + bias[i] - np.log(chances[i])
                for i in {target, *ids}
            }
            total = np.log(sum(np.exp(s) for s in scores.values()))
            expected += weight * (total - scores[target])
        actual = sampled_softmax.summed_nats(*batch, S, tf.constant([seed, 1]))
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_optimum_is_the_full_softmax():
    """A bias alone learns how frequent the ids are."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(V, 2.0))
    targets = tf.constant(random.choice(V, 2000, p=shares).astype(np.int32))
    seen = np.bincount(targets, minlength=V) / len(targets)
    hidden, table = tf.zeros([len(targets), 1]), tf.zeros([V, 1])
    weights = tf.fill([len(targets)], 1 / len(targets))
    bias, sum_ = tf.Variable(tf.zeros([V])), np.zeros(V)

    @tf.function
    def step(seed):
        with tf.GradientTape() as tape:
            nats = sampled_softmax.summed_nats(
                hidden, table, bias, targets, weights, S, seed
            )
        (gradient,) = tape.gradient(nats, [bias])
        bias.assign_sub(tf.convert_to_tensor(gradient))

    for i in range(2500):
        step(tf.constant([3, i]))
        if i >= 500:  # the mean of a walk around the optimum
            sum_ += bias.numpy()
    np.testing.assert_allclose(tf.nn.softmax(sum_ / 2000), seen, rtol=0.1)
