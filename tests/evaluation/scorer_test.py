import random

import keras
import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from tests.documents import Document, random_documents, store_of
from tflm import models, tokenizers
from tflm.evaluation import Scorer, scorer
from tflm.evaluation.scorer import reset
from tflm.pipelines import Lanes, prepare

SIZE = 12  # of the vocabulary


class Total(models.LanguageModel):
    """Its logits are the row of a table that the sum of all ids picks.

    So the state counts, and one id too many or too few changes what follows.
    """

    def __init__(self, table, **options):
        super().__init__(vocabulary_size=len(table), **options)
        self.table = np.asarray(table, np.float32)

    def call(
        self,
        ids,
        mask=None,
        initial_state=None,
        return_state=False,
        training=None,
    ):
        assert training is False
        read = tf.where(mask, ids, 0)
        total = initial_state["total"][:, tf.newaxis] + tf.cumsum(read, axis=1)
        logits = tf.gather(self.table, total % self.vocabulary_size)  # [B,T,V]
        # A masked position must not be looked at.
        logits = tf.where(mask[..., tf.newaxis], logits, np.nan)
        there = tf.cast(mask, tf.int32)
        state = {
            "position": initial_state["position"]
            + tf.reduce_sum(there, axis=1),
            "total": total[:, -1],
        }
        return (logits, state) if return_state else logits

    def get_initial_state(self, batch_size):
        zeros = tf.zeros([batch_size], tf.int32)
        return {"position": zeros, "total": zeros}


class Bigram(Total):
    """Its logits are the row of a table that the last id picks."""

    def call(self, ids, mask=None, initial_state=None, return_state=False, **_):
        logits = tf.gather(self.table, ids)  # [B,T,V]
        return (logits, initial_state) if return_state else logits


def random_table():
    table = np.random.default_rng(0).normal(0, 2, [SIZE, SIZE])
    return table.astype(np.float32)


def brute_nats(table, documents, *, bigram):
    """Minus the log probability of the documents, one id after another."""
    table = np.float64(table)
    log_partition = np.log(np.exp(table).sum(axis=1))
    nats = 0.0
    for document in documents:
        total = 0
        for read, target in document.pairs:
            total += read
            row = read if bigram else total % SIZE
            nats += log_partition[row] - table[row, target]
    return nats


def score(model, documents, seq_len=5, batch_size=3, longest=None):
    lanes = Lanes(store_of(documents), seq_len, batch_size, longest)
    return Scorer(model).score(lanes)


@pytest.mark.parametrize("seed", range(3))
def test_score_of_bigrams_is_the_sum_over_pairs(seed):
    documents, table = random_documents(seed), random_table()
    found = score(Bigram(table), documents)
    expected = brute_nats(table, documents, bigram=True)
    assert found.nats == pytest.approx(expected, rel=1e-6)
    assert found.counts == store_of(documents).counts
    assert found.nats_per_token == pytest.approx(
        expected / sum(len(document.targets) for document in documents)
    )


@pytest.mark.parametrize("seq_len", [1, 2, 7, 100])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_score_does_not_depend_on_the_lanes(seq_len, batch_size):
    documents, table = random_documents(seed=4), random_table()
    found = score(Total(table), documents, seq_len, batch_size)
    expected = brute_nats(table, documents, bigram=False)
    assert found.nats == pytest.approx(expected, rel=1e-6)


def test_score_does_not_depend_on_parts_of_the_rows(monkeypatch):
    documents, table = random_documents(seed=4), random_table()
    rows = []

    def two(batch_size):
        rows.append(batch_size)
        return 2

    monkeypatch.setattr(scorer, "part_count", two)
    found = score(Total(table), documents, seq_len=5, batch_size=4)
    expected = brute_nats(table, documents, bigram=False)
    assert set(rows) == {4}
    assert found.nats == pytest.approx(expected, rel=1e-6)


def test_score_does_not_depend_on_the_order_of_documents():
    documents, table = random_documents(seed=4), random_table()
    mixed = random.Random(0).sample(documents, len(documents))
    one, other = (score(Total(table), order) for order in (documents, mixed))
    assert mixed != documents
    assert one.nats == pytest.approx(other.nats, rel=1e-6)


def test_cutting_documents_changes_nothing_where_one_id_decides():
    # One id before each segment warms it up: all that a bigram looks at.
    documents, table = random_documents(seed=4), random_table()
    expected = brute_nats(table, documents, bigram=True)
    for longest in (1, 3, 10):
        found = score(Bigram(table), documents, longest=longest)
        assert found.nats == pytest.approx(expected, rel=1e-6)


def test_uniform_model_is_as_perplexed_as_its_vocabulary_is_large():
    found = score(Bigram(np.full([SIZE, SIZE], 0.5)), random_documents(seed=2))
    assert found.perplexity == pytest.approx(SIZE, rel=1e-6)


def test_sums_are_exact_where_float32_would_not_be():
    nats = 2.0**24 - 1  # all the digits that float32 has
    table = np.zeros([SIZE, SIZE], np.float32)
    table[:, 5] = nats
    documents = [Document([4] * 1001, ends=False)]
    found = score(Bigram(table), documents, seq_len=1001)
    assert found.nats == 1001 * nats


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize(("seq_len", "batch_size"), [(1, 4), (6, 3), (50, 1)])
def test_score_equals_that_of_one_token_at_a_time(
    num_layers, seq_len, batch_size
):
    keras.utils.set_random_seed(0)
    model = models.GRU(
        vocabulary_size=SIZE, embedding_dim=4, units=6, num_layers=num_layers
    )
    model.set_weights([2 * weight for weight in model.get_weights()])
    documents = random_documents(seed=6, count=6, longest=12)
    nats = 0.0
    for document in documents:
        state = None
        for read, target in document.pairs:
            logits, state = model(
                np.array([[read]]), initial_state=state, return_state=True
            )
            nats -= float(tf.nn.log_softmax(logits[0, 0])[target])
    found = score(model, documents, seq_len, batch_size)
    assert found.nats == pytest.approx(nats, rel=1e-5)


def test_one_scorer_scores_one_text_after_another():
    table = random_table()
    scorer = Scorer(Total(table))
    for seed, batch_size in [(0, 3), (1, 5), (0, 3)]:
        documents = random_documents(seed)
        found = scorer.score(Lanes(store_of(documents), 4, batch_size))
        expected = brute_nats(table, documents, bigram=False)
        assert found.nats == pytest.approx(expected, rel=1e-6)


def test_bits_per_byte_of_a_text_with_unknown_characters(tmp_path):
    # The vocabulary holds neither the é of two bytes nor the 日 of three.
    text = "abé日a"
    pieces = tf.data.Dataset.from_tensors(
        {"text": text, "starts": True, "ends": True}
    )
    tokenizer = tokenizers.Characters("ab")
    size = tokenizer.vocabulary_size
    store = prepare(pieces, tokenizer, tmp_path)
    found = Scorer(Bigram(np.zeros([size, size]))).score(Lanes(store, 4, 1))
    bits = 6 * np.log2(size) + 8 * (2 + 3)  # five characters and END
    assert found.bits_per_byte == pytest.approx(bits / len(text.encode()))
    assert found.to_dict()["unknown_share"] == 2 / 6


def test_reset_clears_rows_of_every_rank():
    ones = {
        "position": tf.ones([3], tf.int32),
        "hidden": tf.ones([3, 2]),
        "keys": tf.ones([3, 2, 2, 1]),
    }
    cleared = reset(ones, tf.constant([True, False, True]))
    for name, values in ones.items():
        expected = values.numpy()
        expected[[0, 2]] = 0
        np.testing.assert_array_equal(cleared[name], expected)
        assert cleared[name].dtype == values.dtype


@pytest.mark.parametrize("size", [3, 2**14])
def test_n_gram_model_reads_documents_in_one_row(size, monkeypatch):
    """Each target costs what it costs in a document read by itself."""
    monkeypatch.setattr(scorer, "_LOOK_UPS", size)
    documents = random_documents(4, 9)
    store = store_of(documents)
    model = models.NGram.train(store, vocabulary_size=SIZE, order=4)
    found = Scorer(model).nats(Lanes(store, 5, batch_size=4))
    for start, length in zip(store.starts, store.lengths, strict=True):
        targets = store.targets[start : start + length].astype(np.int32)
        if length:
            inputs = np.append(2, targets[:-1])[np.newaxis]
            expected, _ = model.nats(inputs, targets[np.newaxis])
            np.testing.assert_allclose(
                found[start : start + length], expected[0], rtol=1e-6
            )
    assert len(found) == len(store.targets)


def test_perplexity_is_that_of_keras_hub():
    documents = [d for d in random_documents(7) if d.targets]
    store = store_of(documents)
    model = models.GRU(vocabulary_size=SIZE, embedding_dim=4, units=6)
    metric = keras_nlp.metrics.Perplexity(from_logits=True)
    for document in documents:
        inputs = [2, *document.ids][: len(document.targets)]
        metric.update_state([document.targets], model(np.array([inputs])))
    score = Scorer(model).score(Lanes(store, 5, batch_size=4))
    np.testing.assert_allclose(score.perplexity, metric.result(), rtol=1e-5)
