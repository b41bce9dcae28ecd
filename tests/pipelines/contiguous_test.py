from collections import Counter

import numpy as np
import pytest

from tests.documents import FIRST, numbered, random_documents, store_of
from tflm.pipelines import Contiguous

LENGTHS = [23, 1, 9, 40, 4]
TOTAL = sum(LENGTHS)
STORE = store_of(numbered(LENGTHS))
STARTS = np.cumsum([0, *LENGTHS[:-1]]).tolist()


def read(data, steps):
    return [data.read(step) for step in range(steps)]


@pytest.mark.parametrize("batch_size", [1, 3, 7])
@pytest.mark.parametrize("seq_len", [1, 5, 50])
def test_every_target_stands_in_each_epoch_once(seq_len, batch_size):
    data = Contiguous(STORE, seq_len, batch_size, seed=0)
    batches = list(data.dataset(epochs=2).as_numpy_iterator())
    assert len(batches) == data.steps(2)
    for epoch in range(2):
        part = batches[epoch * data.steps(1) : (epoch + 1) * data.steps(1)]
        seen = Counter(t for _, t, w, _ in part for t in t[w == 1].tolist())
        assert seen == {p + FIRST: 1 for p in range(TOTAL)}
    weights = np.concatenate([w for _, _, w, _ in batches])
    assert data.padding == pytest.approx((weights == 0).mean())


@pytest.mark.parametrize("span", [0, 15])
def test_row_goes_on_where_it_ended_unless_it_is_reset(span):
    data = Contiguous(STORE, 5, 3, seed=1, span=span)
    before = [None] * 3
    for step in range(40):
        inputs, targets, weights, resets = data.read(step)
        begins = step % (span // 5 if span else data.steps_per_epoch) == 0
        for row in range(3):
            there = targets[row][weights[row] == 1] - FIRST
            if not len(there):
                assert not span
                continue
            assert there.tolist() == list(range(there[0], there[-1] + 1))
            assert resets[row] == (begins or there[0] in STARTS)
            if not resets[row]:
                assert there[0] == before[row] + 1
            elif not begins:  # the document before has ended
                assert (before[row] + 1) % TOTAL == there[0]
            first = 2 if there[0] in STARTS else there[0] - 1 + FIRST
            assert inputs[row, 0] == first
            # No stretch crosses the start of a document.
            assert not set(there[1:].tolist()) & set(STARTS)
            before[row] = int(there[-1])


def test_span_jumps_to_every_offset():
    data = Contiguous(STORE, 5, 8, seed=2, span=10)
    firsts = {
        int(t) - FIRST
        for step in range(0, 300, 2)
        for t in data.read(step)[1][:, 0]
    }
    assert firsts == set(range(TOTAL))


def test_batches_are_functions_of_seed_and_step():
    for span in (0, 15):
        data = Contiguous(STORE, 5, 3, seed=1, span=span)
        later = data.dataset(first_step=4).as_numpy_iterator()
        for part, expected in zip(next(later), data.read(4), strict=True):
            np.testing.assert_array_equal(part, expected)


def test_empty_documents_do_no_harm():
    documents = random_documents(seed=5)
    data = Contiguous(store_of(documents), 4, 3, seed=0)
    batches = read(data, data.steps(1))
    pairs = Counter(
        pair
        for inputs, targets, weights, _ in batches
        for pair in zip(
            inputs[weights == 1].tolist(),
            targets[weights == 1].tolist(),
            strict=True,
        )
    )
    assert pairs == Counter(p for d in documents for p in d.pairs)


def test_span_must_fit():
    with pytest.raises(ValueError, match="multiple of `seq_len`.*span=7"):
        Contiguous(STORE, 5, 3, seed=0, span=7)
