import numpy as np
import pytest
import tensorflow as tf

from tflm.sampling import Constraints
from tflm.sampling.constraints import REMEMBERED

SIZE = 7
NONE = np.zeros(SIZE, bool)
OUT = -np.inf


def history_of(rules, texts):
    """The history of texts read in two pieces."""
    first = tf.ragged.constant([t[: len(t) // 2] for t in texts], tf.int32)
    rest = tf.ragged.constant([t[len(t) // 2 :] for t in texts], tf.int32)
    history = rules.remember(rules.nothing(len(texts)), first)
    return rules.remember(history, rest)


def random_texts(seed, rows=40):
    random = np.random.default_rng(seed)
    return [
        random.integers(1, 4, random.integers(0, 30)).tolist()
        for _ in range(rows)
    ]


def random_logits(rows, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, SIZE)).astype(np.float32)


def brute_repeats(text, size):
    """The ids that would complete an n-gram that stands in the text."""
    before = tuple(text[len(text) - size + 1 :])
    if len(before) < size - 1:
        return set()
    return {
        text[place + size - 1]
        for place in range(len(text) - size + 1)
        if tuple(text[place : place + size - 1]) == before
    }


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_ids_that_repeat_an_ngram_are_out(size):
    texts = random_texts(size)
    rules = Constraints(NONE, no_repeat_ngram=size)
    logits = random_logits(len(texts))
    applied = rules.apply(tf.constant(logits), history_of(rules, texts)).numpy()
    banned = 0
    for row, text in enumerate(texts):
        out = brute_repeats(text, size)
        banned += len(out)
        expected = [OUT if i in out else logits[row, i] for i in range(SIZE)]
        np.testing.assert_array_equal(applied[row], expected)
    assert banned


def test_text_shorter_than_an_ngram_bans_nothing():
    rules = Constraints(NONE, no_repeat_ngram=3)
    logits = random_logits(3)
    history = history_of(rules, [[], [2], [2, 2]])
    np.testing.assert_array_equal(rules.apply(logits, history), logits)


def test_row_that_would_have_nothing_left_is_spared():
    banned = np.array([True, True, True, True, True, False, False])
    rules = Constraints(banned, no_repeat_ngram=1)
    logits = random_logits(2)
    history = history_of(rules, [[5, 6], [5]])
    applied = rules.apply(tf.constant(logits), history).numpy()
    np.testing.assert_array_equal(applied[0, 5:], logits[0, 5:])
    np.testing.assert_array_equal(applied[1, 5:], [OUT, logits[1, 6]])
    assert np.isneginf(applied[:, :5]).all()


@pytest.mark.parametrize("penalty", [1.3, 10.0])
def test_penalty_makes_what_stands_there_less_likely(penalty):
    texts = random_texts(0)
    rules = Constraints(NONE, repetition_penalty=penalty)
    logits = random_logits(len(texts))
    applied = rules.apply(tf.constant(logits), history_of(rules, texts)).numpy()
    for row, text in enumerate(texts):
        for id_ in range(SIZE):
            logit = logits[row, id_]
            if id_ in text:
                assert applied[row, id_] < logit
                logit = logit / penalty if logit > 0 else logit * penalty
            np.testing.assert_allclose(applied[row, id_], logit, rtol=1e-6)


def test_what_lies_far_back_is_forgotten():
    rules = Constraints(NONE, no_repeat_ngram=1)
    logits = random_logits(2)
    texts = [[3] + [2] * (REMEMBERED - 1), [3] + [2] * REMEMBERED]
    applied = rules.apply(logits, history_of(rules, texts)).numpy()
    assert np.isneginf(applied[:, 2]).all()
    assert np.isneginf(applied[:, 3]).tolist() == [True, False]


def test_one_id_a_row_is_remembered_as_a_piece_is():
    texts = random_texts(4, rows=5)
    rules = Constraints(NONE, no_repeat_ngram=2)
    ids = [[1], [2], [3], [4], [5]]
    dense = rules.remember(history_of(rules, texts), tf.constant(ids))
    longer = [text + own for text, own in zip(texts, ids, strict=True)]
    np.testing.assert_array_equal(dense, history_of(rules, longer))


def test_nothing_is_remembered_where_no_rule_asks():
    assert not Constraints(NONE).remembers
    assert Constraints(NONE, repetition_penalty=1.1).remembers
    assert Constraints(NONE, no_repeat_ngram=4).remembers
    banned = np.arange(SIZE) == 4
    applied = Constraints(banned).apply(tf.zeros([2, SIZE]), None).numpy()
    np.testing.assert_array_equal(np.isneginf(applied), [banned] * 2)
