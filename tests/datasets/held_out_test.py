"""Held-out parts: exact bounds, and hashes that keep equal texts together."""

import math
from fractions import Fraction

import pytest

from tflm.datasets.held_out import HeldOut


@pytest.mark.parametrize(
    ("length", "validation", "test", "expected"),
    [
        (1_115_394, "0.1", "0", [(0, 1_003_854), (1_003_854, 1_115_394)]),
        (100, "0.05", "0.05", [(0, 90), (90, 95), (95, 100)]),
        (10, "0", "0.3", [(0, 7), (7, 7), (7, 10)]),
        # In binary floating point 0.1 + 0.2 is above 0.3, and one more
        # character would be held out.
        (10, "0.1", "0.2", [(0, 7), (7, 8), (8, 10)]),
        (3, "0.05", "0.05", [(0, 2), (2, 2), (2, 3)]),
        (7, "0", "0", [(0, 7)]),
    ],
)
def test_bounds_are_exact(length, validation, test, expected):
    held_out = HeldOut(Fraction(validation), Fraction(test))
    missing = [(length, length)] * (3 - len(expected))
    assert list(held_out.bounds(length).values()) == expected + missing


def test_bounds_cover_every_length_without_overlap():
    held_out = HeldOut(Fraction("0.07"), Fraction("0.03"))
    for length in range(300):
        train, validation, test = held_out.bounds(length).values()
        assert (train[0], test[1]) == (0, length)
        assert train[1] == validation[0] and validation[1] == test[0]
        assert length - train[1] == math.ceil(Fraction(length, 10))
        assert length - test[0] == math.ceil(Fraction(3 * length, 100))


def test_split_of_a_text_has_the_asked_shares():
    held_out = HeldOut(Fraction("0.2"), Fraction("0.1"))
    found = [held_out.split_of(f"document {n}") for n in range(5000)]
    # Five standard deviations of a binomial are 0.028 and 0.021.
    assert found.count("validation") / 5000 == pytest.approx(0.2, abs=0.028)
    assert found.count("test") / 5000 == pytest.approx(0.1, abs=0.021)


def test_split_of_a_text_is_the_same_in_every_process():
    # By BLAKE2b of the text, as `b2sum -l 64` prints it.
    held_out = HeldOut(Fraction("0.2"), Fraction("0.2"))
    texts = ["", "a", "b", "c", "é", "日本語", "🦜", "the end"]
    assert [held_out.split_of(text) for text in texts] == [
        "train",
        "validation",
        "train",
        "validation",
        "train",
        "train",
        "test",
        "validation",
    ]


def test_test_split_does_not_depend_on_the_share_for_validation():
    texts = [str(n) for n in range(500)]
    chosen = [
        [
            t
            for t in texts
            if HeldOut(share, Fraction("0.1")).split_of(t) == "test"
        ]
        for share in (Fraction(0), Fraction("0.3"))
    ]
    assert chosen[0] == chosen[1] != []
