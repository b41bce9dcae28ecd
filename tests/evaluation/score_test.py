import dataclasses
import json
import math

import pytest

from tflm.evaluation import Score
from tflm.pipelines.token_store import Counts

# Two documents, one complete: five characters in nine bytes, one of them not
# known and of three bytes.
COUNTS = Counts(
    documents=2,
    tokens=6,
    ends=1,
    unknown_tokens=1,
    unknown_bytes=3,
    characters=5,
    bytes=9,
)
BITS = 21.0
SCORE = Score(nats=BITS * math.log(2), counts=COUNTS, words=3)


def test_bits_are_divided_by_the_counts():
    assert SCORE.bits_per_token == pytest.approx(21 / 6)
    assert SCORE.bits_per_character == pytest.approx(21 / 5)
    assert SCORE.nats_per_token == pytest.approx(21 / 6 * math.log(2))
    assert SCORE.perplexity == pytest.approx(2 ** (21 / 6))


def test_bits_per_byte_charge_unknown_bytes_in_full():
    assert SCORE.bits_per_byte == pytest.approx((21 + 8 * 3) / 9)


def test_smaller_vocabulary_does_not_lower_bits_per_byte():
    # One kind of character is left out: it costs nothing now to say "unknown".
    known = dataclasses.replace(COUNTS, unknown_tokens=0, unknown_bytes=0)
    spelled = Score(8 * 9 * math.log(2), known)
    lazy = dataclasses.replace(COUNTS, unknown_tokens=5, unknown_bytes=9)
    assert Score(0.0, lazy).bits_per_byte >= spelled.bits_per_byte


def test_word_perplexity_divides_by_the_words():
    assert SCORE.word_perplexity == pytest.approx(2 ** (21 / 3))
    assert Score(nats=5.0, counts=COUNTS).word_perplexity is None
    # A text that is one long word has too many nats for `exp`.
    assert Score(nats=1e4, counts=COUNTS, words=1).word_perplexity == math.inf


def test_figures_have_the_promised_names():
    score = dataclasses.replace(
        SCORE,
        nats_per_token_interval=(1.5, 2.5),
        resampled="30 documents",
    )
    assert score.to_dict() == {
        "nats_per_token": SCORE.nats_per_token,
        "perplexity": SCORE.perplexity,
        "word_perplexity": SCORE.word_perplexity,
        "nats_per_token_interval": [1.5, 2.5],
        "bits_per_byte_interval": None,
        "resampled": "30 documents",
        "words": 3,
        "bits_per_token": SCORE.bits_per_token,
        "bits_per_character": SCORE.bits_per_character,
        "bits_per_byte": SCORE.bits_per_byte,
        "tokens": 6,
        "characters": 5,
        "bytes": 9,
        "unknown_share": 1 / 6,
    }
    assert json.loads(json.dumps(score.to_dict())) == score.to_dict()


def test_empty_documents_have_a_score():
    # Three documents of nothing but their END.
    counts = Counts(3, 3, 3, 0, 0, characters=0, bytes=0)
    score = Score(3.0, counts, words=3)
    assert score.nats_per_token == 1
    figures = [f for f in score.to_dict().values() if f is not None]
    assert len(figures) == 11
    assert all(math.isfinite(figure) for figure in figures)
