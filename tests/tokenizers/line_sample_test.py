"""A sample of lines: how large, from where, and always the same."""

import numpy as np
import pytest
import tensorflow as tf

from tflm.tokenizers.line_sample import sample_lines

LINES = [f"line {number:05}" for number in range(20_000)]  # 10 characters


def test_small_text_is_taken_whole_without_empty_lines():
    texts = ["one\n\ntwo", b"thr\xffee", tf.constant("four\n")]
    assert sample_lines(texts, 100) == ["one", "two", "thr\ufffdee", "four"]


def test_sample_is_no_longer_than_said_and_comes_from_all_over():
    sample = sample_lines(["\n".join(LINES)], 20_000)
    assert 10_000 <= 10 * len(sample) <= 20_000
    numbers = np.array([int(line.split()[1]) for line in sample])
    assert (np.diff(numbers) > 0).all()
    # No tenth of the text has less than half of its share.
    tenths = np.bincount(numbers // 2_000, minlength=10)
    assert tenths.min() > len(sample) / 20


def test_how_the_text_is_cut_into_pieces_of_whole_lines_does_not_matter():
    whole = sample_lines(["\n".join(LINES)], 5_000)
    assert sample_lines(LINES, 5_000) == whole


@pytest.mark.parametrize("characters", [1, 1_999, 4_321])
def test_long_line_is_several(characters):
    sample = sample_lines(["x" * 10_000], characters)
    assert 0 < sum(map(len, sample)) <= characters
    assert max(map(len, sample)) <= 2_000
