from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.documents import START, random_documents, store_of
from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    backed_off,
    distribution,
    observations,
)
from tflm import config, models
from tflm.models import NGram
from tflm.models.ngrams.smoothing import estimate
from tflm.tokenizers import Words

DOCUMENTS = random_documents(7, vocabulary_size=VOCABULARY_SIZE)
STORE = store_of(DOCUMENTS)
# Ids that begin as a document does, some of them never seen in training.
IDS = np.random.default_rng(8).integers(4, VOCABULARY_SIZE, [3, 14])
IDS[:, 0] = START
TARGETS = np.roll(IDS, -1, axis=1)
TARGETS[:, -1] = 3


def train(order=3, smoothing="kneser_ney", **options):
    return NGram.train(
        STORE,
        vocabulary_size=VOCABULARY_SIZE,
        order=order,
        smoothing=smoothing,
        **options,
    )


@pytest.fixture(scope="module", params=[1, 2, 3, 5])
def model(request):
    return train(request.param)


@pytest.mark.parametrize("smoothing", config.SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_call_gives_what_the_tables_say(order, smoothing):
    model = train(order, smoothing)
    tables = estimate(STORE, VOCABULARY_SIZE, order, smoothing)
    probability = backed_off(tables)
    logits = model(IDS)
    assert logits.dtype == tf.float32
    nats, _ = model.nats(IDS, TARGETS)
    for row, ids in enumerate(IDS.tolist()):
        for place in range(len(ids)):
            expected = distribution(probability, tuple(ids[: place + 1]))
            found = np.exp(logits[row, place])
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)
            target = expected[TARGETS[row, place]]
            cost = np.exp(-nats[row, place].numpy())
            np.testing.assert_allclose(cost, target, rtol=1e-4)


def test_training_and_scoring_read_a_document_alike():
    # By the definition: the frequencies of the training text itself.
    model = train(3, "mle")
    for document in DOCUMENTS:
        if not document.targets:
            continue
        inputs, targets = zip(*document.pairs, strict=True)
        nats, _ = model.nats([inputs], [targets])
        observed = list(observations(DOCUMENTS))
        for place, target in enumerate(targets):
            history = inputs[max(place - 1, 0) : place + 1]
            same = [t for h, t in observed if h[-len(history) :] == history]
            if len(history) == 1:  # START alone: h has to be all of it
                same = [t for h, t in observed if h == history]
            share = same.count(target) / len(same)
            assert np.exp(-nats[0, place]) == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 13])
def test_pieces_give_the_log_probabilities_of_one_pass(model, size):
    whole, after = model(IDS, return_state=True)
    nats, _ = model.nats(IDS, TARGETS)
    state = model.get_initial_state(len(IDS))
    assert all(not tensor.numpy().any() for tensor in state.values())
    for first in range(0, IDS.shape[1], size):
        piece = IDS[:, first : first + size]
        targets = TARGETS[:, first : first + size]
        cost, scored = model.nats(piece, targets, initial_state=state)
        logits, state = model(piece, initial_state=state, return_state=True)
        there = slice(first, first + size)
        np.testing.assert_array_equal(logits, whole[:, there])
        np.testing.assert_array_equal(cost, nats[:, there])
        for name in state:
            np.testing.assert_array_equal(state[name], scored[name])
    for name in after:
        np.testing.assert_array_equal(state[name], after[name])
    assert state["position"].numpy().tolist() == [IDS.shape[1]] * 3
    last = IDS[:, IDS.shape[1] - model.order + 1 :]
    assert state["history"].dtype == tf.int32
    np.testing.assert_array_equal(state["history"], last)


def test_masked_positions_change_nothing(model):
    random = np.random.default_rng(9)
    mask = random.random([3, 25]) < 0.5
    mask[2] = False
    ids = random.integers(0, VOCABULARY_SIZE, mask.shape)
    targets = random.integers(4, VOCABULARY_SIZE, mask.shape)
    begun = model(IDS, return_state=True)[1]
    logits, state = model(
        ids, mask=mask, initial_state=begun, return_state=True
    )
    nats, scored = model.nats(ids, targets, mask=mask, initial_state=begun)
    for row, there in enumerate(mask):
        alone = {name: tensor[row : row + 1] for name, tensor in begun.items()}
        if there.any():
            expected, alone = model(
                ids[row : row + 1, there],
                initial_state=alone,
                return_state=True,
            )
            np.testing.assert_array_equal(logits[row][there], expected[0])
            cost = np.take_along_axis(
                expected[0].numpy(), targets[row, there][:, None], axis=1
            )[:, 0]
            np.testing.assert_allclose(
                -nats[row].numpy()[there], cost, rtol=1e-5
            )
        for name in alone:
            np.testing.assert_array_equal(state[name][row], alone[name][0])
            np.testing.assert_array_equal(scored[name][row], alone[name][0])


def test_start_begins_a_text_anew(model):
    """Nothing before START counts, as in training."""
    ids = IDS.copy()
    ids[:, 6] = START
    found = model(ids)[:, 6:]
    np.testing.assert_allclose(found, model(ids[:, 6:]), rtol=1e-6)


def test_a_graph_gives_the_same(model):
    function = tf.function(
        lambda ids, targets, state: (
            model(ids, initial_state=state),
            model.nats(ids, targets, initial_state=state),
        ),
        reduce_retracing=True,
    )
    state = model(IDS, return_state=True)[1]
    for length in (1, 4, 9):
        ids, targets = IDS[:, :length], TARGETS[:, :length]
        logits, (nats, after) = function(ids, targets, state)
        np.testing.assert_array_equal(logits, model(ids, initial_state=state))
        expected = model.nats(ids, targets, initial_state=state)
        np.testing.assert_array_equal(nats, expected[0])
        np.testing.assert_array_equal(after["history"], expected[1]["history"])


def test_a_saved_model_is_loaded_without_its_text(model, tmp_path):
    expected = model(IDS).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IDS), expected)
    again = NGram.from_config(model.get_config())
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again(IDS), expected)
    assert again.get_config() == model.get_config()
    assert model.trainable_variables == []


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_no_policy_rounds_the_tables(policy):
    rounded = train(3, dtype=policy)
    np.testing.assert_array_equal(rounded(IDS), train(3)(IDS))


def test_impossible_tokens_have_infinite_nats():
    model = train(3, "mle")
    logits = model(IDS).numpy()
    assert logits.min() == -1e8
    nats, _ = model.nats(IDS, np.full_like(IDS, START))
    assert np.isposinf(nats).all()


def test_order_one_is_a_histogram():
    model = train(1, "mle")
    counts = np.bincount(STORE.targets, minlength=VOCABULARY_SIZE)
    logits, state = model(IDS, return_state=True)
    assert state["history"].shape == (3, 0)
    expected = np.broadcast_to(counts / counts.sum(), logits.shape)
    np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-6)


def test_evaluate_gives_the_mean_nats():
    model = train(3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss)
    nats, _ = model.nats(IDS, TARGETS)
    found = model.evaluate(IDS, TARGETS, verbose=0)
    assert found == pytest.approx(np.mean(nats), rel=1e-5)


def test_fit_says_what_to_do_instead(model):
    with pytest.raises(NotImplementedError, match="`tflm.train`"):
        model.fit(IDS, TARGETS)


def test_settings_build_an_empty_model():
    built = models.build(
        config.ModelConfig(model="ngram", order=4), VOCABULARY_SIZE
    )
    assert (built.order, built.sizes) == (4, [0, 0, 0])
    expected = np.where(np.isin(np.arange(9), [0, START]), 0, 1 / 7)
    np.testing.assert_allclose(np.exp(built(IDS)[1, 2]), expected, rtol=1e-6)
    assert train(4).num_ngrams == VOCABULARY_SIZE + sum(train(4).sizes)


def test_arpa_file_gives_the_same_model(tmp_path):
    tokenizer = Words.train(["a b c d\n"], min_count=1)
    assert tokenizer.vocabulary_size == VOCABULARY_SIZE
    model = train(3)
    model.write_arpa(tmp_path / "model.arpa", tokenizer)
    read = NGram.from_arpa(tmp_path / "model.arpa", tokenizer)
    np.testing.assert_allclose(read(IDS), model(IDS), rtol=1e-5)
    assert read.get_config()["sizes"] == model.get_config()["sizes"]


def test_lmplz_s_model_gives_a_text_the_sum_of_its_lines():
    folder = Path(__file__).parent / "arpa"
    sentences = (folder / "harbour.txt").read_text().splitlines()
    tokenizer = Words.train(sentences, min_count=1)
    model = NGram.from_arpa(folder / "harbour.arpa", tokenizer)
    ids = tokenizer.tokenize("the girl looks").numpy().tolist()
    nats, _ = model.nats([[START, *ids]], [[*ids, tokenizer.end_id]])
    lines = {
        tuple(line.split("\t")[1].split()): float(line.split("\t")[0])
        for line in (folder / "harbour.arpa").read_text().splitlines()
        if "\t" in line
    }
    backoffs = {
        tuple(line.split("\t")[1].split()): float(line.split("\t")[2])
        for line in (folder / "harbour.arpa").read_text().splitlines()
        if line.count("\t") == 2
    }
    expected = [
        lines["<s>", "the"],
        lines["<s>", "the", "girl"],
        lines["<s>", "the", "girl", "looks"],
        # The end never follows: back off from all four, three, two words.
        backoffs["<s>", "the", "girl", "looks"]
        + backoffs["the", "girl", "looks"]
        + backoffs["girl", "looks"]
        + backoffs["looks",]
        + lines["</s>",],
    ]
    found = -nats[0].numpy() / np.log(10)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"order": 0}, "`order` must be at least 1. Received: order=0"),
        ({"sizes": [1]}, r"`sizes` must be .* Received: sizes=\[1\], order=3"),
        ({"sizes": [1, -1]}, r"`sizes` must be .*\[1, -1\]"),
    ],
)
def test_arguments_out_of_range(changed, message):
    with pytest.raises(ValueError, match=message):
        NGram(**{"vocabulary_size": 9, "order": 3, **changed})
