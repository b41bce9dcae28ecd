import numpy as np

from tests.documents import Document, random_documents, store_of
from tflm.pipelines.stretches import cut_documents, padded


def test_documents_are_cut_from_their_start():
    documents = [Document([4, 5, 6, 7, 8]), Document([], False), Document([])]
    stretches = cut_documents(store_of(documents), 4)
    assert stretches.begins.tolist() == [0, 4, 6]
    assert stretches.ends.tolist() == [4, 6, 7]
    assert stretches.first.tolist() == [True, False, True]
    assert stretches.lengths.tolist() == [4, 2, 1]


def test_stretches_of_random_documents_hold_all_pairs_in_order():
    documents = random_documents(seed=4)
    store = store_of(documents)
    stretches = cut_documents(store, 3)
    batch = padded(store, stretches.begins, stretches.ends, 5)
    there = batch.weights == 1
    pairs = zip(batch.inputs[there], batch.targets[there], strict=True)
    expected = [pair for document in documents for pair in document.pairs]
    assert [(int(i), int(t)) for i, t in pairs] == expected
    np.testing.assert_array_equal(there.sum(axis=1), stretches.lengths)
    # Padding stands on the right.
    assert (np.diff(there.astype(int), axis=1) <= 0).all()
    assert not batch.inputs[~there].any()
