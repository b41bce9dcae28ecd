import numpy as np
import pytest
import tensorflow as tf

from tflm import sampling

ROWS = 200
STEPS = 5


@pytest.fixture
def seeds():
    random = np.random.default_rng(0)
    seeds = random.integers(-(2**31), 2**31, ROWS).astype(np.int32)
    seeds[:4] = 0, -1, 2**31 - 1, -(2**31)
    return seeds


@pytest.fixture
def positions():
    random = np.random.default_rng(1)
    positions = random.integers(0, 2**31 - STEPS, ROWS).astype(np.int32)
    positions[:4] = 0, 1, 2, 2**31 - STEPS
    return positions


def test_numbers_are_those_that_tensorflow_draws_by(seeds, positions):
    """Of many equal logits the id drawn tells the number to six digits."""
    size = 1_000_000
    numbers = tf.function(sampling.uniforms)(seeds, positions, STEPS)
    logits = tf.zeros([1, size])
    for step in (0, 1, STEPS - 1):
        for row in range(0, ROWS, 3):
            [drawn] = sampling.draw(
                logits, seeds[row, None], positions[row, None] + step
            )
            assert drawn == int(numbers[step, row] * size)


def test_numbers_have_all_bits_of_a_float64(seeds, positions):
    whole = sampling.uniforms(seeds, positions, STEPS).numpy() * 2.0**52
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole, np.floor(whole))
    low = whole.astype(np.int64).ravel()
    for bit in range(52):
        assert 0.4 < (low >> bit & 1).mean() < 0.6


def test_draws_by_numbers_are_the_draws(seeds, positions):
    random = np.random.default_rng(2)
    logits = random.normal(size=(ROWS, 30)).astype(np.float32) * 3
    logits[random.random(logits.shape) < 0.3] = -np.inf
    logits[:, 7] = 0
    [numbers] = sampling.uniforms(seeds, positions)
    drawn = sampling.draw_by(tf.constant(logits), numbers)
    expected = sampling.draw(logits, seeds, positions)
    np.testing.assert_array_equal(drawn, expected)
    assert len(set(drawn.numpy())) > 20


def test_choice_by_numbers_is_the_choice(seeds, positions):
    random = np.random.default_rng(3)
    logits = tf.constant(random.normal(size=(ROWS, 40)), tf.float32)
    settings = sampling.row_settings(
        ROWS,
        temperature=np.where(np.arange(ROWS) % 3, 0.8, 0).astype(np.float32),
        top_k=np.arange(ROWS, dtype=np.int32) % 12,
        top_p=0.9,
        seed=seeds & (2**31 - 1),
    )
    expected = sampling.sample(logits, positions, settings)
    [numbers] = sampling.uniforms(settings.seed, positions)

    @tf.function(jit_compile=True)
    def compiled(logits, numbers):
        return sampling.sample(
            logits, positions, settings, numbers=numbers, fixed=True
        )

    for fixed in (False, True):
        chosen = sampling.sample(
            logits, positions, settings, numbers=numbers, fixed=fixed
        )
        np.testing.assert_array_equal(chosen, expected)
    np.testing.assert_array_equal(compiled(logits, numbers), expected)


def test_no_probabilities_draw_no_id():
    drawn = sampling.draw_by(
        tf.fill([2, 6], np.nan), tf.constant([0.2, 0.9], tf.float64)
    )
    assert drawn.numpy().tolist() == [6, 6]
