import numpy as np
import pytest
import tensorflow as tf

from tflm.layers import rings, rings_ahead

BATCH, HEADS, WIDTH, CONTEXT = 3, 2, 4, 5


def numbers(seed, *shape):
    random = np.random.default_rng(seed)
    return random.normal(size=shape).astype(np.float32)


class Written:
    """All that each row was given, in order; the oracle of rings."""

    def __init__(self):
        self.rows = [[] for _ in range(BATCH)]

    def add(self, new, mask):
        for row, line in enumerate(mask):
            for time in np.flatnonzero(line):
                self.rows[row].append(new[row, :, time])

    def ring(self):
        ring = np.zeros((BATCH, HEADS, CONTEXT, WIDTH), np.float32)
        for row, entries in enumerate(self.rows):
            for position, entry in enumerate(entries):
                ring[row, :, position % CONTEXT] = entry
        return ring

    def counts(self):
        return np.array([len(row) for row in self.rows], np.int32)


def filled(*masks):
    """A ring after entries where each of the masks is not zero."""
    expected = Written()
    ring = (tf.zeros([BATCH, HEADS, CONTEXT, WIDTH]),) * 2
    for seed, mask in enumerate(masks):
        mask = np.array(mask, bool)
        new = numbers(seed, BATCH, HEADS, mask.shape[1], WIDTH)
        before = tf.constant(expected.counts())
        ring = rings.turned(ring, (new, -new), before, tf.constant(mask))
        expected.add(new, mask)
    return ring, expected


MASKS = ([[1, 1, 1], [1, 1, 0], [0, 0, 0]], [[1] * 6, [1, 0] * 3, [0] * 6])


def test_entries_stand_in_their_slots():
    (keys, values), expected = filled(*MASKS)
    np.testing.assert_array_equal(keys, expected.ring())
    np.testing.assert_array_equal(values, -expected.ring())


def test_slots_tell_the_positions_that_stand_there():
    _, expected = filled(*MASKS)
    found = rings.slots(tf.constant(expected.counts()), CONTEXT).numpy()
    for row, count in enumerate(expected.counts()):
        for position in range(max(0, count - CONTEXT), count):
            assert found[row, position % CONTEXT] == position
        assert (found[row] >= 0).sum() == min(count, CONTEXT)


@pytest.mark.parametrize("mask", [None, [[True], [False], [True]]])
def test_one_entry_is_written_where_it_counts(mask):
    ring, expected = filled(*MASKS)
    new = numbers(9, BATCH, HEADS, 1, WIDTH)
    before = tf.constant(expected.counts())
    there = None if mask is None else tf.constant(mask)
    keys, values = rings.written(ring, (new, -new), before, there)
    expected.add(new, [[True]] * BATCH if mask is None else mask)
    np.testing.assert_array_equal(keys, expected.ring())
    np.testing.assert_array_equal(values, -expected.ring())


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("masks", [MASKS[:1], MASKS])
def test_unrolled_ring_is_in_the_order_of_time(masks, fixed):
    ring, expected = filled(*masks)
    counts = expected.counts()
    keys, values = rings_ahead.unrolled(
        ring, tf.constant(counts), tf.float32, fixed
    )
    size = CONTEXT if fixed else min(counts.max(), CONTEXT)
    assert values.shape == (BATCH, HEADS, size, WIDTH)
    np.testing.assert_array_equal(
        tf.transpose(keys, [0, 1, 3, 2]), -values.numpy()
    )
    for row, entries in enumerate(expected.rows):
        for back, entry in enumerate(entries[::-1][:size], 1):
            np.testing.assert_array_equal(keys[row, :, :, -back], entry)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("fixed", [False, True])
def test_tokens_attend_to_the_last_positions(fixed, dtype):
    """Beside a softmax over each row's own last entries, one by one."""
    ring, expected = filled(*MASKS)
    count = 3
    position = tf.constant(expected.counts())
    earlier = rings_ahead.unrolled(ring, position, dtype, fixed)
    size = count if fixed else None
    buffer = rings_ahead.nothing(earlier, size)
    for step in range(7):  # two full buffers, and one token of a third
        time = tf.constant(step % count)
        queries, new = (
            numbers(20 + 2 * step + part, BATCH, HEADS, 1, WIDTH)
            for part in (0, 1)
        )
        pair = tf.cast(new, dtype), tf.cast(-new, dtype)
        buffer = rings_ahead.written(buffer, pair, time if fixed else None)
        unseen = rings_ahead.unseen(
            earlier, size or time + 1, position, time, CONTEXT
        )
        mixed = rings_ahead.attend(
            tf.cast(queries, dtype), earlier, buffer, unseen
        )
        expected.add(new, [[True]] * BATCH)
        for row, entries in enumerate(expected.rows):
            keys = np.stack(entries[-CONTEXT:], axis=1)  # [H,K,W]
            scores = (keys * queries[row]).sum(-1) / np.sqrt(WIDTH)
            weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            np.testing.assert_allclose(
                tf.cast(mixed[row, :, 0], tf.float32),
                -(weights[:, :, None] * keys).sum(1),
                rtol=0,
                atol=1e-5 if dtype == tf.float32 else 5e-2,
            )
        position += 1
        if step % count == count - 1:
            earlier = rings_ahead.appended(earlier, buffer, CONTEXT)
            buffer = rings_ahead.nothing(earlier, size)
