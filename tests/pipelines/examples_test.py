import numpy as np
import pytest

from tests.documents import END, START, Document, random_documents, store_of
from tflm import pipelines

PADDING = (0, 0, 0)  # input, target and weight where nothing is read


def read_all(store):
    """All targets in order, as one row."""
    positions = np.arange(store.counts.tokens)[np.newaxis]
    weights = np.ones(positions.shape, np.float32)
    return pipelines.make_examples(
        store.targets, store.starts, positions, weights
    )


@pytest.mark.parametrize("seed", range(20))
def test_examples_of_random_documents(seed):
    documents = random_documents(seed)
    pairs = [pair for document in documents for pair in document.pairs]
    batch = read_all(store_of(documents))
    found = zip(batch.inputs[0], batch.targets[0], strict=True)
    assert list(found) == pairs


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_examples_at_random_positions_with_all_kinds_of_weight(seed, dtype):
    documents = random_documents(seed)
    pairs = [pair for document in documents for pair in document.pairs]
    store = store_of(documents)
    random = np.random.default_rng(seed)
    positions = random.integers(len(pairs), size=[6, 9])
    weights = random.integers(-1, 2, size=[6, 9]).astype(np.float32)
    # Where nothing is read the position may be anything.
    positions[weights < 0] = random.choice([-5, 10**9], (weights < 0).sum())
    batch = pipelines.make_examples(
        store.targets.astype(dtype), store.starts, positions, weights
    )
    found = np.stack(batch, axis=-1).reshape(-1, 3).tolist()
    expected = [
        (*pairs[position], weight) if weight >= 0 else PADDING
        for position, weight in zip(
            positions.ravel(), weights.ravel(), strict=True
        )
    ]
    assert [tuple(row) for row in found] == expected
    kinds = [(part.dtype, part.shape) for part in batch]
    assert kinds == [
        (np.int32, (6, 9)),
        (np.int32, (6, 9)),
        (np.float32, (6, 9)),
    ]


def test_rule_on_a_hand_made_text():
    complete, empty, cut = Document([7, 8]), Document([]), Document([9], False)
    batch = read_all(store_of([complete, empty, cut, complete]))
    assert batch.inputs[0].tolist() == [START, 7, 8, START, START, START, 7, 8]
    assert batch.targets[0].tolist() == [7, 8, END, END, 9, 7, 8, END]


@pytest.mark.parametrize("seed", range(5))
def test_start_is_never_a_target_and_end_never_an_input(seed):
    batch = read_all(store_of(random_documents(seed)))
    assert START not in batch.targets
    assert END not in batch.inputs
    assert {START, END} <= {*batch.inputs.flat, *batch.targets.flat}
