import numpy as np
import pytest
import tensorflow as tf

from tflm.generation.stop_strings import StopStrings

STOPS = [
    ["ab"],
    ["a"],
    ["aab", "ab"],
    ["abab", "bb"],
    ["abc", "b"],
    ["aaa"],
    ["é", "日a"],
    ["\n\n", "b\n"],
    ["🙂c"],
]


def first_end(text, stops):
    """The bytes up to where the first stop string has ended, or None."""
    ends = [
        end
        for end in range(len(text) + 1)
        if any(text[:end].endswith(stop.encode()) for stop in stops)
    ]
    return ends[0] if ends else None


@pytest.mark.parametrize("stops", STOPS, ids=str)
def test_first_end_is_found_however_the_text_is_cut(stops):
    random = np.random.default_rng(0)
    automaton = StopStrings(stops)
    advance = tf.function(automaton.advance, autograph=False)
    letters = [s.encode() for s in "aabbc\n"] + [
        b"\xc3",
        b"\xa9",
        "日".encode(),
    ]
    letters.append("🙂".encode())
    rows = 60
    texts = [b"".join(random.choice(letters, 12)) for _ in range(rows)]
    cuts = [sorted(random.integers(0, len(t) + 1, 4)) for t in texts]
    state, kept = automaton.start(rows), np.zeros(rows, int)
    for piece in range(5):
        pieces = [
            text[([0, *cut])[piece] : ([*cut, len(text)])[piece]]
            for text, cut in zip(texts, cuts, strict=True)
        ]
        state, own = advance(state, tf.constant(pieces))
        kept += own
    found = 0
    for row, text in enumerate(texts):
        end = first_end(text, stops)
        found += end is not None
        assert automaton.met(state)[row] == (end is not None), text
        assert kept[row] == (len(text) if end is None else end), text
    assert found


def test_empty_texts_and_no_rows_change_nothing():
    stops = StopStrings(["ab"])
    state, _ = stops.advance(stops.start(2), tf.constant(["a", ""]))
    after, kept = stops.advance(state, tf.constant(["", ""]))
    np.testing.assert_array_equal(after, state)
    assert kept.numpy().tolist() == [0, 0]
    after, kept = stops.advance(stops.start(0), tf.constant([], tf.string))
    assert after.shape == kept.shape == (0,)


def test_row_that_has_met_one_stays_there():
    stops = StopStrings(["b"])
    state, kept = stops.advance(stops.start(1), tf.constant(["abab"]))
    assert kept.numpy().tolist() == [2]
    state, kept = stops.advance(state, tf.constant(["more"]))
    assert stops.met(state).numpy().all()
    assert kept.numpy().tolist() == [0]
