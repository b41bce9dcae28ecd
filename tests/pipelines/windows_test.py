from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tests.documents import (
    FIRST,
    START,
    numbered,
    random_documents,
    store_of,
)
from tflm.pipelines import Examples, Windows

LENGTHS = [11, 1, 4, 30, 7]
TOTAL = sum(LENGTHS)
DOCUMENTS = numbered(LENGTHS)
# The target at position p is p + FIRST; so is what precedes it.
INPUT_OF = {
    target: given for document in DOCUMENTS for given, target in document.pairs
}


@pytest.fixture(scope="module")
def store():
    return store_of(DOCUMENTS)


def rows(windows, epochs):
    """The windows of some epochs: inputs, targets and weights [W,T]."""
    batches = windows.dataset(epochs=epochs).as_numpy_iterator()
    return [np.concatenate(part) for part in zip(*batches, strict=True)]


def assert_same(batches, expected):
    for batch, wanted in zip(batches, expected, strict=True):
        for part, wanted_part in zip(batch, wanted, strict=True):
            np.testing.assert_array_equal(part, wanted_part)


@pytest.mark.parametrize("seq_len", [1, 4, 10, TOTAL - 1, TOTAL])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_target_stands_in_each_epoch_once(store, seq_len, batch_size):
    windows = Windows(store, seq_len, batch_size, seed=3)
    _, targets, weights = rows(windows, epochs=3)
    for epoch in range(3):
        part = slice(
            epoch * windows.windows_per_epoch,
            (epoch + 1) * windows.windows_per_epoch,
        )
        seen = Counter(targets[part][weights[part] == 1].tolist())
        assert seen == {p + FIRST: 1 for p in range(TOTAL)}


def test_window_is_a_stretch_of_the_text_with_its_inputs(store):
    inputs, targets, weights = rows(Windows(store, 4, 3, seed=3), epochs=5)
    for row, given, weight in zip(targets, inputs, weights, strict=True):
        there = row[weight == 1]
        expected = (there[:1] - FIRST + np.arange(len(there))) % TOTAL + FIRST
        np.testing.assert_array_equal(there, expected)
        assert given[weight == 1].tolist() == [INPUT_OF[t] for t in there]


def test_inputs_and_targets_of_random_documents():
    documents = random_documents(seed=1)
    pairs = Counter(pair for document in documents for pair in document.pairs)
    windows = Windows(store_of(documents), 5, 4, seed=0)
    inputs, targets, weights = rows(windows, epochs=2)
    there = weights == 1
    seen = Counter(zip(inputs[there], targets[there], strict=True))
    assert seen == {pair: 2 * count for pair, count in pairs.items()}


def test_boundaries_move_from_epoch_to_epoch(store):
    windows = Windows(store, 10, 1, seed=0)
    _, targets, _ = rows(windows, epochs=6)
    epochs = np.split(targets[:, 0], 6)
    assert len({frozenset(firsts) for firsts in epochs}) >= 5


def test_order_is_another_in_each_epoch(store):
    windows = Windows(store, 1, 1, seed=0)
    _, targets, _ = rows(windows, epochs=4)
    epochs = [tuple(part.ravel()) for part in np.split(targets, 4)]
    # Turned back, so that only the order of the windows is left.
    turned = {tuple(np.subtract(epoch, epoch[0]) % TOTAL) for epoch in epochs}
    assert len(turned) == 4


@pytest.mark.parametrize("first_step", [0, 1, 4, 9, 13])
def test_continuing_gives_the_batches_that_were_left(store, first_step):
    windows = Windows(store, 4, 3, seed=5)
    whole = list(windows.dataset(epochs=3).as_numpy_iterator())
    tail = windows.dataset(first_step, epochs=3).as_numpy_iterator()
    assert len(whole) == 14
    assert_same(tail, whole[first_step:])


def test_endless_batches_begin_as_the_ending_ones(store):
    windows = Windows(store, 4, 2, seed=5)
    ending = windows.dataset(epochs=2).as_numpy_iterator()
    endless = windows.dataset().take(14).as_numpy_iterator()
    assert_same(endless, ending)
    far = windows.dataset(first_step=10**9).take(2).as_numpy_iterator()
    assert all((weights.sum(axis=1) > 0).all() for *_, weights in far)


def test_order_depends_on_the_seed_alone(store):
    first, again, other = (
        rows(Windows(store, 4, 3, seed), epochs=1) for seed in (1, 1, 2)
    )
    assert_same([first], [again])
    assert not np.array_equal(first[1], other[1])


def test_last_batch_is_filled_up_without_weight(store):
    windows = Windows(store, 10, 4, seed=0)
    assert (windows.windows_per_epoch, windows.steps(1)) == (6, 2)
    inputs, targets, weights = rows(windows, epochs=1)
    assert weights.shape == (8, 10)
    assert weights[:6].sum() == TOTAL
    assert not weights[6:].any()
    assert not inputs[6:].any() and not targets[6:].any()


def test_batches_run_on_into_the_next_epoch(store):
    # Six windows an epoch: the second batch of four holds two of the next.
    _, _, weights = rows(Windows(store, 10, 4, seed=0), epochs=2)
    assert weights.shape == (12, 10)
    assert weights.sum() == 2 * TOTAL
    assert weights.any(axis=1).all()


def test_steps_and_epochs(store):
    windows = Windows(store, 10, 4, seed=0)  # six windows an epoch
    assert [windows.steps(epochs) for epochs in (1, 2, 3)] == [2, 3, 5]
    assert [windows.epoch(step) for step in (0, 3, 6)] == [0, 2, 4]


def test_batches_are_examples_of_known_shape_and_type(store):
    dataset = Windows(store, 10, 4, seed=0).dataset()
    assert dataset.element_spec == Examples(
        tf.TensorSpec([4, 10], tf.int32),
        tf.TensorSpec([4, 10], tf.int32),
        tf.TensorSpec([4, 10], tf.float32),
    )


def test_text_of_one_window():
    windows = Windows(store_of(numbered([5])), 5, 1, seed=0)
    inputs, targets, weights = rows(windows, epochs=20)
    assert (weights == 1).all()
    turns = set(targets[:, 0].tolist())
    assert turns == {p + FIRST for p in range(5)}
    for given, row in zip(inputs, targets, strict=True):
        follows = [START if t == FIRST else t - 1 for t in row]
        assert given.tolist() == follows


def test_too_short_a_text_says_what_to_do(store):
    with pytest.raises(
        ValueError,
        match=f"at least `seq_len` tokens: give more text or --seq_len {TOTAL}"
        f" or less. Received: {TOTAL} tokens, seq_len={TOTAL + 1}",
    ):
        Windows(store, TOTAL + 1, 1, seed=0)


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0)])
def test_sizes_below_one_are_refused(sizes):
    store = store_of(numbered([5]))
    with pytest.raises(ValueError, match="must be at least 1. Received: .*=0"):
        Windows(store, *sizes, seed=0)
