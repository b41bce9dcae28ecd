"""Normalised text and where it comes from, by the ops and by hand."""

import itertools
from collections import Counter

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.tokenizers.alignment import aligned
from tflm.tokenizers.normalizer import Normalizer

KINDS = [
    Normalizer(),
    Normalizer(lowercase=True),
    Normalizer(normalization="nfc"),
    Normalizer(lowercase=True, normalization="nfkc"),
]
letters = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from("aΣΣ\u0130\ufb01e\u0301\u0302\u1100\u1161\u11a8 \u00a0Å"),
)


@pytest.mark.parametrize(
    ("normalizer", "text", "normal", "sources"),
    [
        (KINDS[0], "aé", "aé", [[0, 1], [1, 2], [2, 3]]),
        (KINDS[0], b"a\xe6\x97", "a\ufffd", [[0, 1], *[[1, 3]] * 3]),
        (KINDS[1], "A\u0130", "ai\u0307", [[0, 1], *[[1, 3]] * 3]),
        (KINDS[2], "ae\u0301a", "aéa", [[0, 1], [1, 4], [1, 4], [4, 5]]),
        (KINDS[3], "\ufb01\ufb01", "fifi", [[0, 3], [0, 3], [3, 6], [3, 6]]),
        (KINDS[3], "Ｅ\u0301", "é", [[0, 5], [0, 5]]),
        (KINDS[3], "", "", []),
    ],
)
def test_sources_are_those_found_by_hand(normalizer, text, normal, sources):
    text = text.encode() if isinstance(text, str) else text
    found, places = aligned(text, normalizer)
    assert found.decode() == normal
    assert places.tolist() == sources


@pytest.mark.parametrize("normalizer", KINDS, ids=lambda n: str(vars(n)))
@settings(max_examples=40, deadline=None)
@given(text=st.text(letters, max_size=12))
def test_parts_stand_side_by_side_and_give_alone_what_they_give(
    normalizer, text
):
    raw = text.encode()
    normal, sources = aligned(raw, normalizer)
    assert normal == normalizer(tf.constant(raw)).numpy()
    parts = Counter(map(tuple, sources.tolist()))  # in the text's order
    bounds = [0, *itertools.chain(*parts), len(raw)]
    assert bounds[::2] == bounds[1::2]
    for (begin, end), size in parts.items():
        if end - begin > 1 or raw[begin] < 128:
            alone = normalizer(tf.constant(raw[begin:end])).numpy()
            assert len(alone) == size
