import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tflm import sampling

ROWS = 64


@pytest.fixture
def logits():
    random = np.random.default_rng(1)
    return random.normal(size=(ROWS, 50)).astype(np.float32) * 2


@pytest.fixture
def seeds():
    return np.arange(ROWS, dtype=np.int32) * 7


@pytest.fixture
def positions():
    return np.arange(ROWS, dtype=np.int32)[::-1] + 1


def test_draw_is_that_of_tensorflow_probability(logits, seeds, positions):
    drawn = tf.function(sampling.draw)(logits, seeds, positions)
    for row in range(ROWS):
        distribution = tfp.distributions.Categorical(logits=logits[row])
        seed = (int(seeds[row]), int(positions[row]))
        assert drawn[row] == distribution.sample(seed=seed)


def test_draw_does_not_see_the_other_rows(logits, seeds, positions):
    together = sampling.draw(logits, seeds, positions)
    for row in (0, 31, 63):
        one = slice(row, row + 1)
        alone = sampling.draw(logits[one], seeds[one], positions[one])
        assert alone[0] == together[row]


def test_draws_have_the_frequencies_of_the_probabilities():
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    count = 4000
    drawn = tf.function(sampling.draw)(
        tf.math.log(tf.constant([shares] * count, tf.float32)),
        tf.range(count),
        tf.ones([count], tf.int32),
    )
    observed = np.bincount(drawn, minlength=4)
    expected = shares * count
    # 16.27 is exceeded by chance once in 1,000 (3 degrees of freedom).
    assert ((observed - expected) ** 2 / expected).sum() < 16.27


def test_draws_at_following_positions_differ():
    positions = tf.range(1, 101)
    drawn = sampling.draw(tf.zeros([100, 1000]), tf.fill([100], 5), positions)
    assert len(set(drawn.numpy())) > 80


def test_greedy_takes_the_lowest_of_equal_ids():
    logits = np.zeros((2, 1000), np.float32)
    logits[0, [700, 300, 999]] = 1
    assert sampling.greedy(tf.constant(logits)).numpy().tolist() == [300, 0]


def test_sample_mixes_greedy_and_drawn_rows(logits, seeds, positions):
    banned = np.zeros(50, bool)
    banned[[3, 8]] = True
    temperature = np.where(np.arange(ROWS) % 2, 0.7, 0).astype(np.float32)
    settings = sampling.row_settings(
        ROWS, temperature=temperature, top_k=9, seed=seeds
    )
    allowed = np.where(banned, -np.inf, logits).astype(np.float32)
    chosen = sampling.sample(allowed, positions, settings).numpy()
    np.testing.assert_array_equal(chosen[::2], allowed.argmax(1)[::2])
    narrowed = sampling.filter_logits(tf.constant(allowed), settings)
    drawn = sampling.draw(narrowed, seeds, positions)
    np.testing.assert_array_equal(chosen[1::2], drawn[1::2])
    assert (chosen[1::2] != allowed.argmax(1)[1::2]).any()


@pytest.mark.parametrize("temperature", [0.0, 1.0, 100.0])
def test_sample_never_chooses_a_banned_id(temperature):
    banned = np.arange(10) != 6
    settings = sampling.row_settings(50, temperature=temperature)
    logits = tf.constant(np.eye(10, dtype=np.float32)[[0] * 50] * 50)
    logits = sampling.ban(logits, banned)
    chosen = sampling.sample(logits, tf.ones([50], tf.int32), settings)
    assert set(chosen.numpy()) == {6}


def test_sample_of_no_rows_is_empty():
    settings = sampling.row_settings(0)
    none = tf.zeros([0], tf.int32)
    chosen = sampling.sample(tf.zeros([0, 4]), none, settings)
    assert chosen.shape == (0,)


COMBINATIONS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.6},
    {"top_k": 3},
    {"top_p": 0.8},
    {"min_p": 0.15},
    {"temperature": 1.5, "top_k": 5, "top_p": 0.9, "min_p": 0.1},
    {"temperature": 0.8, "top_p": 0.95, "min_p": 0.05},
    {"top_k": 4, "min_p": 0.3},
]


@pytest.mark.parametrize("filters", COMBINATIONS, ids=str)
def test_a_hundred_thousand_draws_have_the_filtered_frequencies(filters):
    """Each with its own seed, as rows of a batch have them."""
    shares = np.array([0.3, 0.25, 0.15, 0.12, 0.08, 0.06, 0.03, 0.01])
    count = 100_000
    expected = count * filtered(shares, **filters)
    min_p = filters.get("min_p", 0.0)
    own = {n: v for n, v in filters.items() if n != "min_p"}
    settings = sampling.row_settings(count, seed=7, **own)
    logits = tf.repeat(tf.math.log(tf.constant([shares], tf.float32)), count, 0)
    narrowed = sampling.filter_logits(logits, settings, min_p)

    positions = tf.ones([count], tf.int32)
    drawn = draw_in_blocks(narrowed, settings.seed, positions).numpy()
    some = slice(0, 200)
    plain = sampling.draw(narrowed[some], settings.seed[some], positions[some])
    np.testing.assert_array_equal(drawn[some], plain)
    observed = np.bincount(drawn, minlength=len(shares))
    assert (observed[expected == 0] == 0).all()
    there = expected > 0
    statistic = ((observed - expected)[there] ** 2 / expected[there]).sum()
    # Beyond this by chance once in 1,000 with 7 degrees of freedom at most.
    assert statistic < 24.32


@tf.function(autograph=False)
def draw_in_blocks(logits, seeds, positions):
    """What `draw` gives, faster: 200 rows for each turn of the loop."""

    def draw_block(block):
        rows = zip(*(tf.unstack(part) for part in block), strict=True)
        drawn = [
            tf.random.stateless_categorical(row[tf.newaxis], 1, seed, tf.int32)
            for row, seed in rows
        ]
        return tf.concat(drawn, axis=0)[:, 0]

    seeds = tf.stack([seeds, positions], axis=1)
    blocks = [
        tf.reshape(part, [-1, 200, part.shape[1]]) for part in (logits, seeds)
    ]
    drawn = tf.map_fn(draw_block, tuple(blocks), fn_output_signature=tf.int32)
    return tf.reshape(drawn, [-1])


def filtered(shares, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0):
    """The probabilities [V], highest first, that the filters leave."""
    shares = shares ** (1 / temperature)
    shares = shares / shares.sum()
    if top_k:
        shares[top_k:] = 0
    shares = shares / shares.sum()
    before = np.concatenate([[0], np.cumsum(shares)[:-1]])
    shares = np.where(before < top_p, shares, 0)
    shares = np.where(shares >= min_p * shares.max(), shares, 0)
    return shares / shares.sum()
