"""Beam search beside all texts of a small vocabulary, one by one.

Axes of the made-up model: S states, V ids; a state is the ids read so far.
"""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from tflm import sampling

END = 0
SIZE = 4  # END and three more
LIMIT = 3

# One trace serves all tables and numbers of rows.
SEARCH = tf.function(
    sampling.beam_search, autograph=False, reduce_retracing=True
)


class Trellis:
    """Log-probabilities [V] that depend on all ids before."""

    def __init__(self, seed, sharpness=1.5):
        random = np.random.default_rng(seed)
        states = sum(SIZE**n for n in range(LIMIT + 1))
        logits = random.normal(size=(states, SIZE)) * sharpness
        table = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        self.table = table.astype(np.float32)

    @staticmethod
    def step(ids, state):
        # The first step reads the start, which is id 0 and leaves state 0.
        place = tf.where(
            state["position"] == 0, 0, state["place"] * SIZE + ids + 1
        )
        states = tf.shape(state["table"])[1]
        own = tf.minimum(place, states - 1)  # of what has ended it is any
        log_probs = tf.gather(state["table"], own, batch_dims=1)
        position = state["position"] + 1
        return log_probs, {**state, "place": place, "position": position}

    def texts(self, limit=LIMIT):
        """All texts: ids without END, nats, whether END is their last."""
        found = []
        for length in range(limit + 1):
            for ids in itertools.product(range(1, SIZE), repeat=length):
                place, nats = 0, 0.0
                for id_ in ids:
                    nats += self.table[place, id_]
                    place = place * SIZE + id_ + 1
                if length < limit:
                    found.append((ids, nats + self.table[place, END], True))
                else:
                    found.append((ids, nats, False))
        return found

    def search(
        self,
        rows=1,
        num_beams=3,
        limits=LIMIT,
        length_penalty=0.0,
        seeds=0,
        **options,
    ):
        def column(value, dtype):
            return tf.constant(np.broadcast_to(value, rows), dtype)

        state = {
            "place": tf.zeros([rows], tf.int32),
            "position": tf.zeros([rows], tf.int32),
            "table": tf.repeat(self.table[np.newaxis], rows, axis=0),
        }
        rules = sampling.Rules(
            column(num_beams, tf.int32),
            column(limits, tf.int32),
            column(length_penalty, tf.float32),
            column(seeds, tf.int32),
        )
        last = tf.zeros([rows], tf.int32)
        return SEARCH(self.step, state, last, rules, end_id=END, **options)


def score(text, length_penalty):
    ids, nats, ended = text
    return nats / ((5 + len(ids) + ended) / 6) ** length_penalty


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 3.0, -2.0])
@pytest.mark.parametrize("seed", range(4))
def test_wide_beam_finds_the_best_of_all_texts(seed, length_penalty):
    trellis = Trellis(seed)
    texts = sorted(
        trellis.texts(), key=lambda text: -score(text, length_penalty)
    )
    found = trellis.search(num_beams=27, length_penalty=length_penalty)
    for place, text in enumerate(texts[:27]):
        assert tuple(found.ids[0, place].numpy()) == text[0]
        assert found.ended[0, place] == text[2]
        np.testing.assert_allclose(found.log_probs[0, place], text[1], 1e-4)
        np.testing.assert_allclose(
            found.scores[0, place], score(text, length_penalty), 1e-4
        )


def brute_beam(trellis, width, length_penalty=0.0, limit=LIMIT):
    """Beam search as a list of tuples; END apart."""
    live, found = [((), 0.0, 0)], []
    for length in range(limit):
        ended, grown = [], []
        for ids, nats, place in live:
            ended.append((ids, nats + trellis.table[place, END], True))
            for id_ in range(1, SIZE):
                grown.append(
                    (
                        (*ids, id_),
                        nats + trellis.table[place, id_],
                        place * SIZE + id_ + 1,
                    )
                )
        live = sorted(grown, key=lambda text: -text[1])[:width]
        if length + 1 == limit:
            ended += [(ids, nats, False) for ids, nats, _ in live]
        found = sorted(
            found + ended, key=lambda text: -score(text, length_penalty)
        )[:width]
    return found


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.2])
def test_narrow_beam_is_that_of_the_textbook(width, length_penalty):
    for seed in range(8):
        trellis = Trellis(seed, sharpness=2.5)
        found = trellis.search(num_beams=width, length_penalty=length_penalty)
        texts = brute_beam(trellis, width, length_penalty)
        got = [tuple(ids.numpy()) for ids in found.ids[0]]
        assert got == [text[0] for text in texts]


def greedy_loses():
    """The likeliest first id leads nowhere: 0.6 * 0.4 < 0.4 * 0.9."""
    trellis = Trellis(0)
    shares = np.full((len(trellis.table), SIZE), 0.25)
    shares[0] = [1e-9, 0.6, 0.4, 1e-9]
    shares[2] = [0.4, 0.2, 0.2, 0.2]
    shares[3] = [0.9, 0.05, 0.03, 0.02]
    trellis.table = np.log(shares).astype(np.float32)
    return trellis


def test_beam_wins_where_greedy_loses():
    trellis = greedy_loses()
    greedy = trellis.search(num_beams=1)
    assert greedy.ids[0, 0].numpy().tolist() == [1]
    found = trellis.search(num_beams=2)
    assert found.ids[0, 0].numpy().tolist() == [2]
    assert found.ids[0, 1].numpy().tolist() == [1]
    np.testing.assert_allclose(np.exp(found.scores[0]), [0.36, 0.24], rtol=1e-4)


def test_rows_have_their_own_width_limit_and_penalty():
    trellis = Trellis(7)
    rules = {
        "num_beams": [1, 4, 2, 4],
        "limits": [3, 2, 0, 1],
        "length_penalty": [0.0, 2.0, 0.0, 1.0],
    }
    found = trellis.search(rows=4, **rules)
    for row, (width, limit, penalty) in enumerate(
        zip(*rules.values(), strict=True)
    ):
        own = trellis.search(
            num_beams=width, limits=limit, length_penalty=penalty
        )
        assert found.ids[row, :width].to_list() == own.ids[0].to_list()
        np.testing.assert_allclose(found.scores[row, :width], own.scores[0])
        assert np.isneginf(found.scores[row, width:]).all()
        assert all(len(ids) == 0 for ids in found.ids[row, width:].to_list())
    assert found.ids[2].to_list() == [[], [], [], []]
    assert found.scores[2].numpy().tolist() == [0.0] + [-math.inf] * 3


def test_fewer_texts_than_beams():
    found = Trellis(1).search(num_beams=9, limits=1)
    assert np.isfinite(found.scores[0]).sum() == SIZE
    assert sorted(found.ids[0].to_list(), key=len)[-3:] != [[], [], []]


def test_no_rows():
    found = Trellis(1).search(rows=0)
    assert found.scores.shape[0] == found.ids.shape[0] == 0


def test_text_that_meets_its_own_end_is_kept_whole():
    def ends(ids, state):
        return ids == 2, state

    trellis = Trellis(3)
    texts = [
        (ids, nats, ended)
        for ids, nats, ended in trellis.texts()
        if 2 not in ids[:-1] and not (ended and 2 in ids)
    ]
    for length in range(1, LIMIT):
        for ids in itertools.product((1, 3), repeat=length - 1):
            place, nats = 0, 0.0
            for id_ in (*ids, 2):
                nats += trellis.table[place, id_]
                place = place * SIZE + id_ + 1
            texts.append(((*ids, 2), nats, False))
    texts.sort(key=lambda text: -text[1])
    found = trellis.search(num_beams=27, ends=ends)
    count = int(np.isfinite(found.scores[0]).sum())
    assert count == len(texts)
    assert [tuple(i) for i in found.ids[0].to_list()[:count]] == [
        text[0] for text in texts
    ]


def chi_square_bound(freedom):
    """Beyond it by chance once in 10,000 (Wilson and Hilferty, 1931)."""
    part = 2 / 9 / freedom
    return freedom * (1 - part + 3.72 * part**0.5) ** 3


def without_replacement(shares, draws):
    """The chance of each ordered draw of `draws` different texts."""
    chances = {}
    for order in itertools.permutations(range(len(shares)), draws):
        chance, left = 1.0, 1.0
        for text in order:
            chance *= shares[text] / left
            left -= shares[text]
        chances[order] = chance
    return chances


def test_stochastic_beams_are_draws_without_replacement():
    """The two texts found, in order, have the chances of such draws."""
    trellis = Trellis(5, sharpness=1.0)
    texts = trellis.texts(limit=2)
    place_of = {(ids, ended): i for i, (ids, _, ended) in enumerate(texts)}
    shares = np.exp([nats for _, nats, _ in texts])
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-5)
    rows = 3000
    found = trellis.search(
        rows=rows,
        num_beams=2,
        limits=2,
        seeds=np.arange(rows),
        method="stochastic",
    )
    ids, ended = found.ids.to_list(), found.ended.numpy().tolist()
    pairs = [
        tuple(place_of[tuple(i), e] for i, e in zip(*row, strict=True))
        for row in zip(ids, ended, strict=True)
    ]
    chances = without_replacement(shares, 2)
    counts = dict.fromkeys(chances, 0)
    for pair in pairs:
        counts[pair] += 1  # a pair of equal texts is in no draw
    expected = np.array(list(chances.values())) * rows
    observed = np.array(list(counts.values()))
    rare = expected < 5
    expected = np.append(expected[~rare], expected[rare].sum())
    observed = np.append(observed[~rare], observed[rare].sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < chi_square_bound(len(expected) - 1)
    assert (found.scores[:, 0] >= found.scores[:, 1]).numpy().all()
    np.testing.assert_allclose(found.scores[:, 0], 0, atol=1e-5)


def test_one_multinomial_beam_is_a_plain_draw():
    trellis = Trellis(6, sharpness=1.0)
    texts = trellis.texts(limit=2)
    rows = 3000
    found = trellis.search(
        rows=rows,
        num_beams=1,
        limits=2,
        seeds=np.arange(rows),
        method="multinomial",
    )
    got = list(
        zip(
            map(tuple, (ids[0] for ids in found.ids.to_list())),
            found.ended[:, 0].numpy().tolist(),
            strict=True,
        )
    )
    expected = np.exp([nats for _, nats, _ in texts]) * rows
    observed = np.array([got.count((ids, e)) for ids, _, e in texts])
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < chi_square_bound(len(texts) - 1)


def test_multinomial_beams_are_different_texts_and_depend_on_the_seed():
    trellis = Trellis(6, sharpness=1.0)
    options = {"rows": 50, "num_beams": 3, "method": "multinomial"}
    found = trellis.search(seeds=np.arange(50), **options)
    for ids, ended, scores in zip(
        found.ids.to_list(),
        found.ended.numpy(),
        found.scores.numpy(),
        strict=True,
    ):
        there = np.isfinite(scores)
        texts = {
            (*i, bool(e))
            for i, e, t in zip(ids, ended, there, strict=True)
            if t
        }
        assert len(texts) == there.sum() >= 1
        assert (np.diff(scores[there]) <= 0).all()
    again = trellis.search(seeds=np.arange(50)[::-1], **options)
    assert again.ids[::-1].to_list() == found.ids.to_list()
    assert len({str(ids) for ids in found.ids.to_list()}) > 5


@pytest.mark.parametrize("method", ["multinomial", "stochastic"])
def test_row_depends_on_its_own_seed_alone(method):
    trellis = Trellis(2)
    together = trellis.search(
        rows=6,
        num_beams=[3, 1, 2, 3, 1, 2],
        seeds=[5, 9, 5, 1, 9, 5],
        method=method,
    )
    for row in (0, 2):
        width = [3, 1, 2][row]
        alone = trellis.search(num_beams=width, seeds=5, method=method)
        assert together.ids[row, :width].to_list() == alone.ids[0].to_list()
    assert together.ids[1].to_list() == together.ids[4].to_list()
    assert together.ids[2].to_list() == together.ids[5].to_list()
