import numpy as np
import pytest

from tests.documents import END, FIRST, Document, random_documents, store_of
from tests.models.ngrams.definitions import VOCABULARY_SIZE

CORPORA = {
    "random": random_documents(1, vocabulary_size=VOCABULARY_SIZE),
    "skewed": [
        Document(
            (FIRST + np.random.default_rng(2).geometric(0.4, n) % 5).tolist()
        )
        for n in (90, 40, 160, 0, 7)
    ],
    "one token": [Document([FIRST], ends=False)],
    "only ends": [Document([]), Document([])],
    "shorter than the order": [Document([FIRST, 5]), Document([5])],
    "one word": [Document([FIRST] * 30)],
}


@pytest.fixture(params=CORPORA)
def documents(request):
    """Small texts, the odd ones among them."""
    return CORPORA[request.param]


@pytest.fixture
def store(documents):
    """The store of the documents."""
    kept = [document for document in documents if document.targets]
    assert END in store_of(kept).targets or len(kept) == 1
    return store_of(kept)


@pytest.fixture(params=[1, 2, 3, 5])
def order(request):
    return request.param
