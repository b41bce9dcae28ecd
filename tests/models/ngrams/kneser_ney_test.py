from pathlib import Path

import numpy as np
import pytest
from nltk import lm

from tests.models.ngrams.definitions import (
    START,
    VOCABULARY_SIZE,
    backed_off,
    distribution,
    histories,
    kneser_ney,
    ngrams,
    observations,
)
from tflm.models.ngrams import arpa
from tflm.models.ngrams.counts import count
from tflm.models.ngrams.kneser_ney import FALLBACK, one_discount
from tflm.models.ngrams.kneser_ney import kneser_ney as estimate
from tflm.tokenizers import Words

ARPA = Path(__file__).parents[1] / "arpa"


def counted(store, order):
    return count(store.targets, store.starts, VOCABULARY_SIZE, order)


def test_probabilities_are_those_of_the_definition(documents, store, order):
    found = backed_off(estimate(counted(store, order)))
    expected = kneser_ney(documents, order)
    for history in histories(documents, order):
        np.testing.assert_allclose(
            distribution(found, history),
            distribution(expected, history),
            rtol=1e-5,
        )


# The files were made by KenLM's lmplz, whose <unk> is an unknown here too:
#   lmplz -o 5 --vocab_pad 70 < harbour.txt > harbour.arpa
#   head -4 harbour.txt | lmplz -o 3 --vocab_pad 70 --discount_fallback
#       > harbour_fallback.arpa
# Its uniform distribution is over the words of the text, </s> and <unk>, or
# over the number given, which is here that of the tokenizer's ids without
# padding and START. (It takes the last n-gram of each order, by its last word,
# for one that was seen as often as it occurs; the text ends so that this makes
# no difference.)
@pytest.mark.parametrize(
    ("name", "lines", "order"),
    [("harbour", None, 5), ("harbour_fallback", 4, 3)],
)
def test_tables_are_those_of_lmplz(name, lines, order):
    sentences = (ARPA / "harbour.txt").read_text().splitlines()
    tokenizer = Words.train(sentences, min_count=1)
    assert tokenizer.vocabulary_size == 70 + 2
    targets, starts = [], []
    for sentence in sentences[:lines]:
        starts.append(len(targets))
        targets += tokenizer.tokenize(sentence).numpy().tolist()
        targets.append(tokenizer.end_id)
    counts = count(np.array(targets), starts, tokenizer.vocabulary_size, order)
    theirs = arpa.read(ARPA / f"{name}.arpa", tokenizer)
    for ours, table in zip(estimate(counts), theirs, strict=True):
        np.testing.assert_array_equal(ours.keys, table.keys)
        in_file = np.isfinite(table.log_probs)
        difference = ours.log_probs[in_file] - table.log_probs[in_file]
        assert abs(difference).max() < 2e-6
        np.testing.assert_allclose(ours.backoffs, table.backoffs, atol=2e-6)
    # Words that the file lacks have what is left for words never seen.
    assert in_file.all()


@pytest.mark.parametrize("order", [2, 3])
def test_one_discount_is_nltk_s(documents, store, order):
    grams = [
        gram
        for length in range(1, order + 1)
        for gram in ngrams(documents, length).elements()
    ]
    theirs = lm.KneserNeyInterpolated(order, discount=0.3)
    theirs.counts.update([grams])
    discounts = one_discount(order, 0.3)
    ours = backed_off(estimate(counted(store, order), discounts))
    compared = 0
    for history, _ in observations(documents):
        history = history[-order + 1 :]
        # NLTK pads with as many <s> as there is room for; with a single one,
        # a history of nothing but it counts as a shorter one.
        if order > 2 and history == (START,):
            continue
        for token in range(3, VOCABULARY_SIZE):
            assert ours(history, token) == pytest.approx(
                theirs.unmasked_score(token, history), rel=1e-5
            )
            compared += 1
    assert compared or order > 2


def test_discounts_fall_back_where_they_are_undefined():
    # Each token once: nothing was seen twice or thrice.
    counts = count(np.arange(4, 9), [0], VOCABULARY_SIZE, 1)
    given = estimate(counts, [FALLBACK])
    np.testing.assert_array_equal(
        estimate(counts)[0].log_probs, given[0].log_probs
    )
    # 5 tokens give up one half each, for 7 that are possible.
    expected = np.full(9, 0.5 / 7) + np.where(np.arange(9) > 3, 0.5 / 5, 0)
    expected[[0, 2]] = 0
    np.testing.assert_allclose(
        np.exp(given[0].log_probs[:-1]), expected, rtol=1e-6
    )
