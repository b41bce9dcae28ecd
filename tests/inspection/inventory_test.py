import numpy as np
import pytest

from tests.documents import Document, random_documents, store_of
from tflm.inspection import inventory, take_inventory


def test_figures_are_counted_by_hand():
    documents = [Document([4, 5, 4, 1]), Document([4]), Document([6, 6], False)]
    taken = take_inventory(store_of(documents), 8)
    expected = {
        "documents": 3,
        "tokens": 7,
        "ends": 2,
        "characters": 7,
        "bytes_per_token": 1.0,
        "unknown_share": 1 / 7,
        "different_tokens": 4,
        "shortest_document": 2,
        "median_document": 2.0,
        "longest_document": 5,
    }
    assert taken.figures | expected == taken.figures
    assert taken.most_frequent(2) == [(4, 3), (6, 2)]
    assert taken.most_frequent(9) == [(4, 3), (6, 2), (1, 1), (5, 1)]
    assert taken.histogram == [(2, 3, 2), (4, 7, 1)]


@pytest.mark.parametrize("seed", range(3))
def test_histogram_and_frequencies_of_random_documents(seed, monkeypatch):
    monkeypatch.setattr(inventory, "_BLOCK", 7)
    documents = random_documents(seed)
    taken = take_inventory(store_of(documents), 12)
    lengths = [len(document.targets) for document in documents]
    for low, high, count in taken.histogram:
        assert count == sum(low <= length <= high for length in lengths)
    assert sum(c for *_, c in taken.histogram) == len(documents)
    targets = [t for document in documents for t in document.targets]
    np.testing.assert_array_equal(
        taken.frequencies, [targets.count(id_) for id_ in range(12)]
    )
