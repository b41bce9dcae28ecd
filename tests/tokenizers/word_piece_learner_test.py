"""The learner of word pieces: TF-Text's output, in less time."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_text.tools.wordpiece_vocab import (
    wordpiece_tokenizer_learner_lib as library,
)

from tflm.tokenizers.word_piece_learner import learn
from tflm.tokenizers.words import JOINER


def expected(word_counts, vocabulary_size, min_count):
    """What TF-Text's learner gives."""
    return library.learn(
        dict(word_counts),
        vocab_size=vocabulary_size,
        reserved_tokens=[],
        lower_thresh=min_count,
        max_unique_chars=10**6,
        joiner=JOINER,
    )


@settings(max_examples=200, deadline=None)
@given(
    word_counts=st.dictionaries(
        st.one_of(
            st.text("abc", min_size=1, max_size=6),
            st.text("ab猫e\u0301#", min_size=1, max_size=9),
            # As long as a token may be, and longer.
            st.integers(49, 52).map(lambda n: "ab" * (n // 2) + "c" * (n % 2)),
        ),
        st.one_of(st.integers(1, 5), st.integers(1, 3_000)),
        min_size=1,
        max_size=30,
    ),
    vocabulary_size=st.integers(1, 90),
    min_count=st.integers(1, 12),
)
def test_tokens_are_the_librarys(word_counts, vocabulary_size, min_count):
    tokens = learn(word_counts, vocabulary_size, min_count)
    assert tokens == expected(word_counts, vocabulary_size, min_count)


@pytest.mark.parametrize("vocabulary_size", [60, 120, 400])
def test_tokens_of_prose_are_the_librarys(vocabulary_size):
    prose = f"{library.__doc__} {library.learn.__doc__}".split()
    counts = Counter(prose)
    assert learn(counts, vocabulary_size, 1) == expected(
        counts, vocabulary_size, 1
    )
