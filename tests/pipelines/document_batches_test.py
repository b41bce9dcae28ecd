from collections import Counter

import numpy as np
import pytest

from tests.documents import START, numbered, random_documents, store_of
from tflm.pipelines import DocumentBatches

DOCUMENTS = random_documents(seed=6, count=60, longest=30)
STORE = store_of(DOCUMENTS)
PAIRS = Counter(pair for document in DOCUMENTS for pair in document.pairs)


def batches(data, epochs=1):
    return list(data.dataset(epochs=epochs).as_numpy_iterator())


def pairs(read):
    return Counter(
        pair
        for batch in read
        for pair in zip(
            batch.inputs[batch.weights == 1].tolist(),
            batch.targets[batch.weights == 1].tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("pad", ["buckets", "longest", "fixed"])
@pytest.mark.parametrize("seq_len", [7, 31])
def test_every_target_stands_in_each_epoch_once(pad, seq_len):
    data = DocumentBatches(STORE, seq_len, 4, seed=2, pad=pad)
    read = batches(data, epochs=2)
    steps = data.steps(1)
    assert len(read) == 2 * steps
    assert pairs(read[:steps]) == pairs(read[steps:]) == PAIRS
    positions = sum(batch.weights.size for batch in read[:steps])
    padding = 1 - PAIRS.total() / positions
    assert data.padding == pytest.approx(padding)
    orders = [[b.targets.tobytes() for b in read[i::steps]] for i in (0, 1)]
    assert any(first != second for first, second in orders)


def test_row_is_a_document_from_start_to_end():
    data = DocumentBatches(STORE, 31, 4, seed=2)
    rows = Counter()
    for batch in batches(data):
        for given, row, weight in zip(*batch, strict=True):
            there = weight == 1
            assert not there[there.sum() :].any()
            if there.any():
                rows[tuple(zip(given[there], row[there], strict=True))] += 1
    assert rows == Counter(tuple(d.pairs) for d in DOCUMENTS if d.pairs)


def test_long_document_goes_on_behind_the_token_before():
    data = DocumentBatches(store_of(numbered([10])), 4, 3, seed=0, pad="fixed")
    [batch] = batches(data)
    rows = sorted(
        (t[w == 1].tolist(), i[0]) for i, t, w in zip(*batch, strict=True)
    )
    assert rows == [
        ([4, 5, 6, 7], START),
        ([8, 9, 10, 11], 7),
        ([12, 13], 11),
    ]


def test_shapes_are_as_said():
    shapes = {
        pad: {
            batch.inputs.shape
            for batch in batches(DocumentBatches(STORE, 31, 4, 2, pad=pad))
        }
        for pad in ("buckets", "longest", "fixed")
    }
    assert shapes["fixed"] == {(4, 31)}
    assert {rows for rows, _ in shapes["longest"]} == {4}
    assert 1 < len(shapes["buckets"]) <= 8
    for rows, time in shapes["buckets"]:
        assert rows == 4 * 31 // time


def test_longest_pads_no_further_than_its_longest_document():
    for batch in batches(DocumentBatches(STORE, 31, 4, 2, pad="longest")):
        assert batch.weights[:, -1].any()


def test_any_step_is_read_without_those_before():
    data = DocumentBatches(STORE, 9, 4, seed=2)
    all_ = batches(data, epochs=3)
    for step in (0, 5, data.steps(1) + 1, data.steps(3) - 1):
        fresh = DocumentBatches(STORE, 9, 4, seed=2)
        first = next(iter(fresh.dataset(first_step=step).as_numpy_iterator()))
        np.testing.assert_array_equal(first.targets, all_[step].targets)


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="unknown pad 'long'.*longest"):
        DocumentBatches(STORE, 9, 4, seed=2, pad="long")
