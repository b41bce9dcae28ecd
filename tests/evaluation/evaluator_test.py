import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.documents import Document, random_documents, store_of
from tests.evaluation.scorer_test import Bigram
from tflm import models
from tflm.evaluation import Evaluator, Scorer, scorer
from tflm.pipelines import prepare
from tflm.scoring_settings import ScoringSettings
from tflm.tokenizers import Bytes, Characters

SIZE = 12  # of the vocabulary
NO_PIECES = tf.data.Dataset.from_tensors({"text": ""})
SETTINGS = [
    {},
    {"documents": "joined"},
    {"history": "none", "window": 4},
    {"history": "none", "window": 4, "documents": "joined"},
    {"history": "sliding", "window": 5, "stride": 2},
    {"history": "sliding", "window": 3, "stride": 1, "documents": "joined"},
]


def nats_of(step, documents, settings):
    """The nats of documents, each history read one token after another."""
    if settings.get("documents") == "joined":
        ids = [token for document in documents for token in document.ids]
        documents = [Document(ids, ends=False)]
    window = settings.get("window", 10**9)
    stride = settings.get("stride", window)
    nats = 0.0
    for document in documents:
        for place, (_, target) in enumerate(document.pairs):
            first = 0  # of the first window that holds this place
            while first + window <= place:
                first += stride
            state = step.model.get_initial_state(1)
            for token, _ in document.pairs[first : place + 1]:
                logits, state = step(tf.constant([[token]]), state)
            scores = logits[0, 0].numpy().astype(np.float64)
            nats += math.log(np.exp(scores).sum()) - scores[target]
    return nats


@pytest.fixture(scope="module", params=["gru", "gpt"])
def model(request):
    keras.utils.set_random_seed(0)
    if request.param == "gru":
        model = models.GRU(vocabulary_size=SIZE, embedding_dim=4, units=6)
    else:
        model = models.GPT(
            vocabulary_size=SIZE,
            embedding_dim=8,
            num_layers=1,
            num_heads=2,
            context=6,
        )
    # Far from uniform, so that what came before makes a difference.
    draw = np.random.default_rng(3).normal
    model.set_weights([draw(0, 1, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def step(model):
    """Reads one token: logits [1,1,V] and the state after it."""
    step = tf.function(
        lambda token, state: model(
            token, initial_state=state, return_state=True
        )
    )
    step.model = model
    return step


@pytest.fixture(scope="module")
def evaluator(model):
    """Makes evaluators that share their traces: no setting is in them."""
    shared = Scorer(model)

    def made(settings):
        evaluator = Evaluator(model, Bytes(), ScoringSettings(**settings))
        evaluator._scorer = shared
        return evaluator

    return made


@pytest.fixture(scope="module")
def few():
    return random_documents(seed=1, count=4, longest=11)


@pytest.fixture(scope="module")
def usual_nats(step, few):
    return nats_of(step, few, {})


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_score_is_that_of_one_token_at_a_time(
    evaluator, step, settings, few, usual_nats
):
    found = evaluator(settings).score(NO_PIECES, store_of(few))
    expected = nats_of(step, few, settings) if settings else usual_nats
    assert found.nats == pytest.approx(expected, rel=1e-5)
    tokens = sum(len(document.ids) for document in few)
    ends = sum(document.ends for document in few)
    if "documents" in settings:
        assert (found.counts.tokens, found.counts.ends) == (tokens, 0)
    else:
        assert (found.counts.tokens, found.counts.ends) == (tokens + ends, ends)
    # The settings make a difference, or nothing was tested.
    if settings:
        assert found.nats != pytest.approx(usual_nats)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_lanes_and_order_change_nothing(evaluator, settings, monkeypatch):
    documents = random_documents(seed=2, count=30, longest=40)
    if "documents" not in settings:
        mixed = random.Random(0).sample(documents, len(documents))
    else:  # the order is what a joined text says
        mixed = documents

    def nats(documents, lanes, logits):
        monkeypatch.setattr("tflm.evaluation.evaluator._LANES", lanes)
        monkeypatch.setattr("tflm.evaluation.evaluator._MOST_LOGITS", logits)
        return evaluator(settings).score(NO_PIECES, store_of(documents)).nats

    expected = nats(documents, 64, 2**24)
    assert nats(mixed, 3, 3 * 7 * SIZE) == pytest.approx(expected, rel=1e-6)
    assert nats(mixed, 1, 1) == pytest.approx(expected, rel=1e-6)


def test_joined_is_the_score_of_the_text_as_one_document(model, tmp_path):
    texts = ["abba", "", "cab", "b" * 9]

    def store_and_pieces(texts, ends):
        count = len(texts)
        pieces = tf.data.Dataset.from_tensor_slices(
            {
                "text": tf.constant(texts),
                "starts": tf.fill([count], True),
                "ends": tf.fill([count], ends),
            }
        )
        return pieces, prepare(pieces, tokenizer, tmp_path)

    tokenizer = Characters("abcdefgh")
    joined = Evaluator(model, tokenizer, ScoringSettings(documents="joined"))
    found = joined.score(*store_and_pieces(texts, True))
    whole = Evaluator(model, tokenizer)
    expected = whole.score(*store_and_pieces(["".join(texts)], False))
    assert found.counts == expected.counts
    assert found.nats == pytest.approx(expected.nats, rel=1e-6)
    # Where documents touch, words do too; they are counted apart.
    assert (found.words, expected.words) == (3, 1)


def test_uniform_model_is_as_perplexed_as_its_vocabulary_is_large():
    documents = [Document([9] * length) for length in range(40)]
    evaluator = Evaluator(Bigram(np.zeros([SIZE, SIZE])), Bytes())
    pieces = tf.data.Dataset.from_tensors({"text": "one two\nthree"})
    found = evaluator.score(pieces, store_of(documents))
    assert found.perplexity == pytest.approx(SIZE, rel=1e-6)
    assert found.nats_per_token_interval == pytest.approx(
        [math.log(SIZE)] * 2, rel=1e-6
    )
    assert found.words == 4 + 40  # each document's END is one
    tokens = found.counts.tokens
    assert found.word_perplexity == pytest.approx(SIZE ** (tokens / 44))
    assert found.resampled == "40 documents"


def test_model_that_knows_its_source_reaches_the_entropy_rate():
    chance = np.random.default_rng(0)
    first, states, length = 4, 4, 60_000
    chain = chance.dirichlet(np.ones(states), states)
    steps = chance.random(length)
    sums = chain.cumsum(axis=1)
    ids = [0]
    for step in steps:
        ids.append(int(min(np.searchsorted(sums[ids[-1]], step), states - 1)))
    # What the chain comes to in the long run, and what a step then says.
    often = np.linalg.matrix_power(chain, 1000)[0]
    rate = -(often[:, np.newaxis] * chain * np.log(chain)).sum()

    table = np.full([first + states] * 2, -60.0)
    table[first:, first:] = np.log(chain)
    table[2, first:] = 0  # behind START
    store = store_of([Document([first + i for i in ids], ends=False)])
    found = Evaluator(Bigram(table), Bytes()).score(NO_PIECES, store)
    low, high = found.nats_per_token_interval
    assert low < rate < high
    assert high - low < 0.03
    assert found.nats_per_token == pytest.approx(rate, abs=0.01)
    assert found.resampled == "60 blocks"


def test_interval_of_bytes_charges_what_is_unknown(tmp_path):
    # Every byte is unknown: none of the documents is cheaper than the text.
    pieces = tf.data.Dataset.from_tensor_slices(
        {
            "text": tf.constant(["日本"] * 25),
            "starts": tf.fill([25], True),
            "ends": tf.fill([25], False),
        }
    )
    tokenizer = Characters("abcdefgh")
    store = prepare(pieces, tokenizer, tmp_path)
    model = Bigram(np.zeros([SIZE, SIZE]))
    found = Evaluator(model, tokenizer).score(pieces, store)
    expected = (2 * math.log2(SIZE) + 6 * 8) / 6
    assert found.bits_per_byte == pytest.approx(expected, rel=1e-6)
    assert found.bits_per_byte_interval == pytest.approx(
        [expected] * 2, rel=1e-6
    )


def test_long_texts_are_scored_by_the_fused_step_alike(monkeypatch):
    keras.utils.set_random_seed(0)
    model = models.LSTM(vocabulary_size=SIZE, embedding_dim=4, units=6)
    store = store_of([Document([4 + i % 7 for i in range(300)])])
    plain = Evaluator(model, Bytes()).score(NO_PIECES, store)
    monkeypatch.setattr(scorer, "_MANY_STEPS", 300)
    evaluator = Evaluator(model, Bytes())
    fused = evaluator.score(NO_PIECES, store)
    assert "_fused_step" in vars(evaluator._scorer)
    assert fused.nats == pytest.approx(plain.nats, rel=1e-6)
