import lzma
import random

import pytest
import tensorflow as tf

from tflm.evaluation import xz_bits_per_byte

NOISE = random.Random(0).randbytes(60_000)


def pieces(*texts):
    return tf.data.Dataset.from_tensor_slices(
        {"text": tf.constant(texts, tf.string, [len(texts)])}
    )


def test_noise_costs_its_own_bits():
    bits = xz_bits_per_byte(pieces(NOISE[:20_000]), pieces(NOISE[20_000:]))
    assert bits == pytest.approx(8, rel=0.01)


def test_text_that_was_trained_on_costs_almost_nothing():
    # A reference to at most 273 bytes takes about four.
    assert 0 <= xz_bits_per_byte(pieces(NOISE), pieces(NOISE)) < 0.15


def test_dictionary_spans_both_texts(monkeypatch):
    spans = []

    def compress(data, form, filters):
        spans.append((len(data), filters[0]["dict_size"]))
        return data

    monkeypatch.setattr(lzma, "compress", compress)
    # Nothing is compressed: each byte costs itself.
    assert xz_bits_per_byte(pieces(NOISE), pieces(NOISE[:20_000])) == 8
    assert spans == [(80_000, 80_000), (60_000, 80_000)]


def test_division_into_pieces_does_not_matter():
    whole = xz_bits_per_byte(pieces(NOISE[:9000]), pieces(NOISE[5000:20_000]))
    divided = xz_bits_per_byte(
        pieces(NOISE[:10], b"", NOISE[10:9000]),
        pieces(NOISE[5000:5001], NOISE[5001:20_000]),
    )
    assert divided == whole


def test_formula_on_a_text_of_one_letter():
    def packed(data):
        return len(lzma.compress(data, preset=9))

    training, text = b"a" * 5000, b"ab" * 3000
    expected = 8 * (packed(training + text) - packed(training)) / len(text)
    found = xz_bits_per_byte(pieces(training), pieces(text))
    assert found == pytest.approx(expected, abs=0.02)


def test_empty_text_costs_nothing():
    assert xz_bits_per_byte(pieces(NOISE), pieces(b"")) == 0
