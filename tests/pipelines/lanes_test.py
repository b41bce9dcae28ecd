from collections import Counter

import numpy as np
import pytest

from tests.documents import FIRST, START, numbered, random_documents, store_of
from tflm.pipelines import Lanes

LENGTHS = [5, 1, 0, 17, 2, 30, 1, 8, 0, 3]
TOTAL = sum(LENGTHS)
# The target at position p is p + FIRST: what was scored can be counted.
DOCUMENTS = numbered(LENGTHS)

sizes = pytest.mark.parametrize("seq_len", [1, 3, 7, 50])
lanes_at_most = pytest.mark.parametrize("batch_size", [1, 2, 5, 100])


@pytest.fixture(scope="module")
def store():
    return store_of(DOCUMENTS)


def stretches(lanes):
    """What each lane reads from one fresh state to the next.

    A stretch is a list of (input, position, weight).
    """
    found = [[] for _ in range(lanes.batch_size)]
    for (inputs, targets, weights), mask, resets, positions in lanes:
        assert inputs.shape == mask.shape == (lanes.batch_size, lanes.seq_len)
        for row, lane in enumerate(found):
            if resets[row]:
                lane.append([])
            read = np.flatnonzero(mask[row])
            there = targets[row][read] - FIRST
            assert there.tolist() == positions[row][read].tolist()
            # Nothing stands before or between what is read.
            assert read.tolist() == list(range(len(read)))
            assert not weights[row][~mask[row]].any()
            lane[-1] += [
                (inputs[row, t], targets[row, t] - FIRST, weights[row, t])
                for t in read
            ]
    return [[stretch for stretch in lane if stretch] for lane in found]


@sizes
@lanes_at_most
@pytest.mark.parametrize("longest", [None, 1, 4, 10, 1000])
def test_every_target_is_scored_once(store, seq_len, batch_size, longest):
    scored = Counter()
    for (_, targets, weights), *_ in Lanes(store, seq_len, batch_size, longest):
        assert set(weights.flat) <= {0, 1}
        scored.update(targets[weights == 1].tolist())
    assert scored == {p + FIRST: 1 for p in range(TOTAL)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("longest", [None, 6])
def test_targets_of_random_documents_are_scored_once(seed, longest):
    documents = random_documents(seed)
    expected = Counter(pair for d in documents for pair in d.pairs)
    scored = Counter()
    for (inputs, targets, weights), *_ in Lanes(
        store_of(documents), 4, 3, longest
    ):
        there = weights == 1
        scored.update(zip(inputs[there], targets[there], strict=True))
    assert scored == expected


@sizes
@lanes_at_most
def test_each_document_is_read_in_order_with_a_state_of_its_own(
    store, seq_len, batch_size
):
    found = [
        stretch
        for lane in stretches(Lanes(store, seq_len, batch_size))
        for stretch in lane
    ]
    documents = {
        document.ids[0]: document for document in DOCUMENTS if document.ids
    }
    assert len(found) == len(documents)
    for stretch in found:
        document = documents[stretch[0][1] + FIRST]
        assert [(i, p + FIRST) for i, p, _ in stretch] == document.pairs
        assert {weight for *_, weight in stretch} == {1}


@sizes
@lanes_at_most
@pytest.mark.parametrize("longest", [1, 4, 10])
def test_segments_are_short_and_warmed_up(store, seq_len, batch_size, longest):
    starts = {document.ids[0] - FIRST for document in DOCUMENTS if document.ids}
    for lane in stretches(Lanes(store, seq_len, batch_size, longest)):
        for stretch in lane:
            inputs, positions, weights = zip(*stretch, strict=True)
            first = positions[0]
            assert positions == tuple(range(first, first + len(positions)))
            warm_up = weights.count(0)
            assert weights == (0,) * warm_up + (1,) * (len(weights) - warm_up)
            assert 1 <= len(weights) - warm_up <= longest
            # As much as is to be had, up to the length of a batch.
            assert warm_up == seq_len or (warm_up < seq_len and first in starts)
            assert inputs[0] == (
                START if first in starts else first + FIRST - 1
            )


def test_lanes_take_the_longest_document_that_waits(store):
    lanes = Lanes(store, seq_len=1000, batch_size=3)
    read = [
        [len(stretch) for stretch in lane if stretch]
        for lane in stretches(lanes)
    ]
    # One document a batch: they are dealt out as cards are.
    assert read == [[30, 5, 1], [17, 3, 1], [8, 2]]


def test_lanes_end_together(store):
    batches = list(Lanes(store, seq_len=1, batch_size=3))
    assert len(batches) == 30  # the longest document


def test_no_more_lanes_than_documents(store):
    assert Lanes(store, 4, batch_size=100).batch_size == len(LENGTHS)
    assert Lanes(store, 4, batch_size=2).batch_size == 2


def test_lanes_can_be_read_again(store):
    lanes = Lanes(store, seq_len=4, batch_size=3)
    assert stretches(lanes) == stretches(lanes)


WINDOWS = [(1, 1), (3, 3), (4, 1), (7, 3), (100, 10)]


@lanes_at_most
@pytest.mark.parametrize("seq_len", [1, 7])
@pytest.mark.parametrize(("window", "stride"), WINDOWS)
def test_every_target_is_scored_in_the_first_window_that_holds_it(
    store, seq_len, batch_size, window, stride
):
    lanes = Lanes(store, seq_len, batch_size, window=window, stride=stride)
    scored = {}
    for lane in stretches(lanes):
        for stretch in lane:
            assert len(stretch) <= window
            first = stretch[0][1]
            for offset, (_, position, weight) in enumerate(stretch):
                assert position == first + offset
                if weight:
                    assert position not in scored
                    scored[position] = first
    expected, start = {}, 0
    for length in LENGTHS:
        for place in range(length):
            begins = range(0, place + 1, stride)
            holds = [begin for begin in begins if place < begin + window]
            expected[start + place] = start + holds[0]
        start += length
    assert scored == expected


@pytest.mark.parametrize(("window", "stride"), WINDOWS)
def test_targets_far_into_a_document_have_the_history_promised(
    store, window, stride
):
    lanes = Lanes(store, 5, 3, window=window, stride=stride)
    starts = {document.ids[0] - FIRST for document in DOCUMENTS if document.ids}
    for lane in stretches(lanes):
        for stretch in lane:
            weights = [weight for *_, weight in stretch]
            before = weights.index(1)
            assert before >= window - stride or stretch[0][1] in starts


def test_windows_do_not_overlap_unless_they_are_told_to(store):
    for lane in stretches(Lanes(store, 5, 3, window=4)):
        assert all(weight for stretch in lane for *_, weight in stretch)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"window": 0}, "`window` must be at least 1. Received: window=0"),
        ({"window": 4, "stride": 0}, "`stride` must be at least 1. Received"),
        (
            {"window": 4, "stride": 5},
            "`stride` must be at most `window`, or targets are left out. "
            "Received: stride=5, window=4",
        ),
        ({"stride": 5}, "Received: stride=5, window=None"),
    ],
)
def test_windows_leave_nothing_out(store, sizes, message):
    with pytest.raises(ValueError, match=message):
        Lanes(store, 5, 3, **sizes)
