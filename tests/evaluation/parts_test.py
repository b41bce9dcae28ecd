import numpy as np
import pytest
import tensorflow as tf

from tests.documents import Document, store_of
from tflm.evaluation.parts import cut
from tflm.pipelines import prepare
from tflm.tokenizers import Bytes, Characters, Words

DOCUMENTS = ["aé b", "", "日\n日 a\n", "b", "x y unknown"] * 6


def store_and(tokenizer, texts, folder, ends=True):
    count = len(texts)
    pieces = tf.data.Dataset.from_tensor_slices(
        {
            "text": tf.constant(texts),
            "starts": tf.fill([count], True),
            "ends": tf.fill([count], ends),
        }
    )
    return prepare(pieces, tokenizer, folder)


def test_documents_are_the_parts_of_many(tmp_path):
    store = store_and(Bytes(), DOCUMENTS, tmp_path)
    parts = cut(store, Bytes())
    assert parts.unit == "document"
    assert parts.starts.tolist() == store.starts.tolist()
    sizes = [len(text.encode()) for text in DOCUMENTS]
    assert parts.bytes.tolist() == sizes
    assert parts.tokens.tolist() == [size + 1 for size in sizes]
    assert not parts.unknown_bytes.any()


@pytest.mark.parametrize(
    "tokenizer",
    [Characters("aéb日 \nxyunkow"), Words(["aé", "b", "日", "a", "\n"])],
    ids=["characters", "words"],
)
def test_bytes_are_exact_where_nothing_is_unknown(tokenizer, tmp_path):
    texts = [text for text in DOCUMENTS if "x" not in text]
    parts = cut(store_and(tokenizer, texts, tmp_path), tokenizer)
    expected = [len(text.encode()) for text in texts]
    np.testing.assert_allclose(parts.bytes, expected, rtol=1e-12)


def test_unknown_bytes_go_by_unknown_tokens(tmp_path):
    tokenizer = Characters("aéb日 \n")
    store = store_and(tokenizer, DOCUMENTS, tmp_path)
    parts = cut(store, tokenizer)
    unknown = [sum(c in "xyunkow" for c in text) for text in DOCUMENTS]
    np.testing.assert_allclose(parts.unknown_bytes, unknown, rtol=1e-12)
    assert parts.bytes.sum() == pytest.approx(store.counts.bytes)


def test_few_documents_are_cut_into_blocks():
    lengths = [3400, 0, 1, 999, 1501]
    documents = [Document([9] * length, ends=False) for length in lengths]
    parts = cut(store_of(documents), Bytes())
    assert parts.unit == "block"
    assert parts.tokens.tolist() == [1133, 1133, 1134, 1, 999, 750, 751]
    ends = np.cumsum(parts.tokens)
    assert parts.starts.tolist() == [0, *ends[:-1].tolist()]
    assert parts.bytes.tolist() == parts.tokens.tolist()


@pytest.mark.parametrize("count", [19, 20])
def test_documents_without_targets_are_no_parts(count):
    empty = Document([], ends=False)
    documents = [empty, *[Document([9, 9]), empty] * count]
    parts = cut(store_of(documents), Bytes())
    assert parts.unit == ("document" if count == 20 else "block")
    assert parts.tokens.tolist() == [3] * count


def test_sums_are_those_of_the_slices_in_float64():
    documents = [Document([9] * length) for length in range(30)]
    parts = cut(store_of(documents), Bytes())
    values = np.full(parts.tokens.sum(), 2.0**24 + 2, np.float32)
    found = parts.sums(values)
    assert found.tolist() == (parts.tokens * (2.0**24 + 2)).tolist()
