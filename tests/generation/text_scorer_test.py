import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.generation.conftest import (
    PROMPTS,
    VOCABULARY,
    Alphabet,
    random_model,
    weights_of,
)
from tflm import generation, models
from tflm.generation import text_scorer as text_scorer_module
from tflm.tokenizers import Bytes, Characters, Words

CELLS = {models.GRU: reference.gru, models.LSTM: reference.lstm}
KINDS = [models.GRU, models.LSTM, models.SimpleRNN, models.GPT]


@pytest.fixture(scope="module")
def scorers(tokenizer):
    return {
        kind: generation.TextScorer(
            random_model(kind, tokenizer, num_layers=2), tokenizer
        )
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def endless(scorers):
    """The same of runs without an END to learn."""
    return {
        kind: generation.TextScorer(
            scorers[kind].model, scorers[kind].tokenizer, allow_end=False
        )
        for kind in CELLS
    }


@pytest.fixture(scope="module")
def scorer(model, tokenizer):
    return generation.TextScorer(model, tokenizer)


def ragged_texts(rows, longest=40):
    random = np.random.default_rng(0)
    lengths = random.integers(0, longest, rows)
    return ["".join(random.choice(list(VOCABULARY), n)) for n in lengths]


def numpy(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def one_at_a_time(model, ids):
    """The nats of each id, from a loop that feeds them one by one."""

    @tf.function
    def read(ids):
        def step(carried, pair):
            _, state = carried
            token, target = pair
            logits, state = model(
                token[tf.newaxis, tf.newaxis],
                initial_state=state,
                return_state=True,
            )
            costs = -tf.nn.log_softmax(tf.cast(logits[0, 0], tf.float64))
            return costs[target], state

        pairs = tf.concat([[2], ids[:-1]], axis=0), ids
        start = tf.zeros([], tf.float64), model.get_initial_state(1)
        return tf.scan(step, pairs, start)[0]

    return read(tf.constant(ids, tf.int32)).numpy()


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_scores_are_those_of_the_reference(scorers, kind, rows):
    texts = [*PROMPTS, *ragged_texts(64)][2 : 2 + rows]
    scores = numpy(scorers[kind].score(texts))
    weights = weights_of(scorers[kind].model)
    for row, text in enumerate(texts):
        own, _ = reference.log_probabilities(
            CELLS[kind], weights, VOCABULARY, text
        )
        assert scores["log_prob"][row] == pytest.approx(own.sum(), rel=1e-5)
        assert scores["num_tokens"][row] == len(text)
        assert scores["num_bytes"][row] == len(text.encode())
    assert scores["log_prob"].dtype == np.float32
    assert scores["num_tokens"].dtype == scores["num_bytes"].dtype == np.int32


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("allow_end", [True, False])
@pytest.mark.parametrize("k", [1, 4, 9, [1, 9, 3, 5, 2, 4], 99])
def test_likeliest_tokens_are_those_of_the_reference(
    scorers, endless, kind, allow_end, k
):
    scorer = scorers[kind] if allow_end else endless[kind]
    model, tokenizer = scorer.model, scorer.tokenizer
    listed = scorer.next_token_probabilities(PROMPTS, k)
    width = min(np.max(k), tokenizer.vocabulary_size)
    counts = np.broadcast_to(k, len(PROMPTS))
    for row, (prompt, count) in enumerate(zip(PROMPTS, counts, strict=True)):
        tokens, probabilities = reference.following(
            CELLS[kind],
            weights_of(model),
            VOCABULARY,
            prompt,
            count,
            allow_end,
        )
        beyond = width - len(tokens)
        own = [token.decode() for token in listed["tokens"][row].numpy()]
        assert own == tokens + [""] * beyond
        np.testing.assert_allclose(
            listed["probabilities"][row],
            [*probabilities, *[0] * beyond],
            rtol=1e-5,
        )


def test_nothing_is_zero(scorer):
    for texts in ([""], ["", "ab", ""]):
        scores = scorer.score(texts)
        for tensor in scores.values():
            assert tensor[0] == tensor[-1] == tensor[0] * 0
            assert math.copysign(1, tensor[0]) == 1  # nor is it -0
    assert all(tensor.shape == (0,) for tensor in scorer.score([]).values())


def test_probabilities_of_all_strings_of_a_length_add_up_to_one():
    letters = "abc"
    tokenizer = Characters(letters)
    model = random_model(models.GRU, tokenizer)
    kernel, bias = model.projection.get_weights()
    bias[:4] = -1e9  # no special token ever
    model.projection.set_weights([kernel, bias])
    scorer = generation.TextScorer(model, tokenizer)
    for length in (1, 2, 5):
        texts = ["".join(t) for t in itertools.product(letters, repeat=length)]
        shares = np.exp(scorer.score(texts)["log_prob"].numpy().astype(float))
        assert len(set(shares.tolist())) > length
        assert shares.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", [models.GRU, models.GPT])
def test_completion_costs_what_its_steps_do(scorers, kind):
    scorer = scorers[kind]
    step = generation.OneStep(
        scorer.model, scorer.tokenizer, allow_end=False
    ).generate_one_step
    read, state = [[2, *scorer.tokenizer.tokenize("ab c").numpy()]], None
    outputs, states = step(["ab c"], seed=3)
    grown, total = b"ab c", 0.0
    for _ in range(8):
        drawn = states.pop("last_id").numpy()
        logits, _ = scorer.model(
            tf.constant(read, tf.int32), initial_state=state, return_state=True
        )
        total += tf.nn.log_softmax(logits)[0, -1, drawn[0]].numpy()
        grown += outputs.numpy()[0]
        read, state = [drawn], states
        outputs, states = step(outputs, {**states, "last_id": drawn}, seed=3)
    whole, prompt = scorer.score([grown, "ab c"])["log_prob"].numpy()
    assert whole - prompt == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_row_is_the_same_alone_and_among_others(scorers, kind):
    texts = ragged_texts(40, longest=300)
    together = scorers[kind].score(texts)
    likeliest = scorers[kind].next_token_probabilities(texts, k=5)
    for row in range(0, 40, 8):
        alone = scorers[kind].score(texts[row])
        for name, value in alone.items():
            np.testing.assert_allclose(value, together[name][row], rtol=1e-5)
        own = scorers[kind].next_token_probabilities(texts[row], k=5)
        np.testing.assert_array_equal(own["tokens"], likeliest["tokens"][row])
        np.testing.assert_allclose(
            own["probabilities"], likeliest["probabilities"][row], rtol=1e-4
        )


@pytest.mark.parametrize("kind", [models.GRU, models.GPT])
def test_long_text_costs_what_its_tokens_cost_one_at_a_time(scorers, kind):
    [text] = ragged_texts(1, longest=2)
    random = np.random.default_rng(1)
    text += "".join(random.choice(list(VOCABULARY), 5000))
    ids = scorers[kind].tokenizer.tokenize(text).numpy()
    costs = one_at_a_time(scorers[kind].model, ids)
    # Beside a short text, so that most of the chunks have a row to leave.
    log_prob = scorers[kind].score([text, "ab"])["log_prob"].numpy()
    assert log_prob[0] == pytest.approx(-costs.sum(), rel=1e-5)
    [tokens, _] = scorers[kind].surprisals([text, "ab"])
    own = [token.nats for token in tokens]
    np.testing.assert_allclose(own, costs, atol=1e-3)


@pytest.mark.parametrize("kind", [models.LSTM, models.GPT])
def test_size_of_the_chunks_changes_nothing(scorers, kind, monkeypatch):
    texts = [*PROMPTS, *ragged_texts(10)]
    whole = scorers[kind].score(texts)["log_prob"]
    model, tokenizer = scorers[kind].model, scorers[kind].tokenizer
    size = len(texts) * tokenizer.vocabulary_size
    for chunk, most in ((4, 2**24), (128, 3 * size)):
        monkeypatch.setattr(text_scorer_module, "CHUNK", chunk)
        monkeypatch.setattr(text_scorer_module, "_MOST_LOGITS", most)
        pieces = generation.TextScorer(model, tokenizer).score(texts)
        np.testing.assert_allclose(pieces["log_prob"], whole, rtol=1e-5)


class Watched(Alphabet):
    """Takes no more ids at once than it is told."""

    most = 0

    def nats(self, ids, *arguments, **options):
        checked = tf.debugging.assert_less_equal(tf.size(ids), self.most)
        with tf.control_dependencies([checked]):
            return super().nats(tf.identity(ids), *arguments, **options)


@pytest.mark.parametrize(
    ("rows", "most_logits", "most_ids"),
    [(1, 2**24, 128), (2, 2**24, 256), (64, 64 * 14 * 3, 64 * 3)],
)
def test_memory_for_logits_is_bounded(
    letters, monkeypatch, rows, most_logits, most_ids
):
    monkeypatch.setattr(text_scorer_module, "_MOST_LOGITS", most_logits)
    model = Watched(vocabulary_size=letters.vocabulary_size)
    texts = ["abcdefghij" * 40] * rows
    model.most = most_ids
    scores = generation.TextScorer(model, letters).score(texts)
    # All is certain but the step from j to a.
    np.testing.assert_allclose(scores["log_prob"], [-100 * 39] * rows)
    model.most -= 1
    with pytest.raises(tf.errors.InvalidArgumentError):
        generation.TextScorer(model, letters).score(texts)


def test_logits_of_masked_positions_are_not_looked_at(alphabet, letters):
    scorer = generation.TextScorer(alphabet, letters)
    scores = scorer.score(["abc", "abcdefgh", "", "ba"])
    # From START to b, from b to a: a hundred each.
    np.testing.assert_allclose(scores["log_prob"], [0, 0, 0, -200], atol=1e-3)
    listed = scorer.next_token_probabilities(["", "abc", "ij"], k=1)
    assert listed["tokens"].numpy().ravel().tolist() == [b"a", b"d", b""]
    np.testing.assert_allclose(listed["probabilities"], np.ones([3, 1]))


def test_equal_probabilities_are_listed_by_id(letters):
    model = Alphabet(vocabulary_size=14, always=2)
    scorer = generation.TextScorer(model, letters)
    tokens = scorer.next_token_probabilities("", k=4)["tokens"].numpy()
    assert tokens.tolist() == ["\ufffd".encode(), b"", b"a", b"b"]


def test_what_is_listed_adds_up_to_what_can_follow(scorers):
    scorer = scorers[models.LSTM]
    listed = scorer.next_token_probabilities(PROMPTS, k=99)["probabilities"]
    for row, prompt in enumerate(PROMPTS):
        _, after = reference.log_probabilities(
            reference.lstm, weights_of(scorer.model), VOCABULARY, prompt
        )
        never = np.exp(after[[0, 2]]).sum()
        assert sum(listed[row].numpy()) == pytest.approx(1 - never, abs=1e-5)


def test_bytes_list_no_unknown_and_are_given_as_they_are():
    tokenizer = Bytes()
    scorer = generation.TextScorer(
        random_model(models.GRU, tokenizer), tokenizer
    )
    tokens = scorer.next_token_probabilities("é", k=260)["tokens"].numpy()
    assert sorted(tokens[:257]) == [b"", *(bytes([b]) for b in range(256))]
    assert tokens[257:].tolist() == [b""] * 3
    assert scorer.score(b"\xff\xc3")["num_bytes"] == 2


@pytest.mark.parametrize("spaced", [False, True])
def test_words_begin_with_their_space_where_one_is_missing(spaced):
    tokenizer = Words(["\n", "a", "rose"], spaced=spaced)
    scorer = generation.TextScorer(
        random_model(models.GRU, tokenizer), tokenizer
    )
    prompts = ["", "a", "a rose ", "é\n", " a" * 30]
    listed = scorer.next_token_probabilities(prompts, k=5)["tokens"].numpy()
    apart = [spaced, True, False, False, True]
    for prompt, tokens, space in zip(prompts, listed, apart, strict=True):
        bare = {b"\n", b"a", b"rose", b"<unk>"}
        if space:
            bare = {b" " + word for word in bare}
            if not spaced:
                bare = bare - {b" \n"} | {b"\n"}
        assert set(tokens.tolist()) == bare | {b""}
        # Joined to the prompt each token is that token behind the prompt's.
        before = tokenizer.tokenize(prompt).numpy().tolist()
        ids = [
            tokenizer.tokenize(prompt.encode() + token).numpy().tolist()
            for token in tokens
            if token
        ]
        assert {tuple(row[:-1]) for row in ids} == {tuple(before)}
        assert {row[-1] for row in ids} == {1, 4, 5, 6}


def test_surprisals_stand_at_their_tokens(scorer):
    texts = ["", "aé日?", b"b\xff"]
    surprisals = scorer.surprisals(texts)
    places = [[(t.begin, t.end) for t in tokens] for tokens in surprisals]
    assert places == [[], [(0, 1), (1, 3), (3, 6), (6, 7)], [(0, 1), (1, 2)]]
    unknown = [[t.unknown for t in tokens] for tokens in surprisals]
    assert unknown == [[], [False, False, False, True], [False, True]]
    log_prob = scorer.score(texts)["log_prob"].numpy()
    sums = [-sum(token.nats for token in tokens) for tokens in surprisals]
    np.testing.assert_allclose(sums, log_prob, rtol=1e-6)
    assert scorer.surprisals([]) == []


def test_unknown_bytes_are_those_of_the_tokenizer(scorer):
    assert scorer.unknown_bytes(["a", "?∞a", ""]).numpy().tolist() == [0, 4, 0]


def test_string_alone_gives_scalars(scorer):
    scores = scorer.score("ab")
    assert {tensor.shape for tensor in scores.values()} == {()}
    listed = scorer.next_token_probabilities("ab", k=[2])
    assert {tensor.shape for tensor in listed.values()} == {(2,)}


@pytest.mark.parametrize("prompts", [[], ["a", "b"]])
def test_any_number_of_rows(scorer, prompts):
    listed = scorer.next_token_probabilities(prompts, k=3)
    shape = (2, 3) if prompts else (0, 0)
    assert {tensor.shape for tensor in listed.values()} == {shape}


def test_matrices_are_refused(scorer):
    with pytest.raises(ValueError, match=r"`texts` must be .*=\(1, 1\)"):
        scorer.score([["a"]])
    with pytest.raises(ValueError, match=r"`prompts` must be .*=\(1, 1\)"):
        scorer.next_token_probabilities([["a"]])


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, r"`k` must be from 1 to 2147483647. Received: k=.*\[0\]"),
        ([3, -1], r"`k` must be from 1 .*k=.*\[-1\]"),
        ([1, 2, 3], "`k` must be one number or one a row"),
    ],
)
def test_invalid_k_is_refused(scorer, k, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        scorer.next_token_probabilities(["a", "b"], k)


def test_one_trace_serves_all_calls(model, tokenizer):
    scorer = generation.TextScorer(model, tokenizer)
    for texts in ("a", ["", "b"], ["ab c" * 200], ["c"] * 9):
        scorer.score(texts)
        scorer.next_token_probabilities(texts, 3)
    scorer.next_token_probabilities(["a"], [3])
    assert scorer.scores.experimental_get_tracing_count() == 1
    assert scorer.following.experimental_get_tracing_count() == 1
