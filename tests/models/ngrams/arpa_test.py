from pathlib import Path

import numpy as np
import pytest

from tests.documents import random_documents, store_of
from tflm import config
from tflm.models.ngrams import arpa
from tflm.models.ngrams.smoothing import estimate
from tflm.tokenizers import Characters, Words

FIXTURE = Path(__file__).parents[1] / "arpa" / "harbour.arpa"
TOKENIZER = Characters("ab \\é")
STORE = store_of(random_documents(6, vocabulary_size=9))

SMALL = """\
made by hand

\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0 <unk>
0\t<s>\t-0.25
-0.5\t</s>
-0.30103\ta\t-99

\\2-grams:
-0.125\ta\ta
-0.2\t<s>\ta

\\end\\
"""


def write(folder, text):
    path = folder / "model.arpa"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("smoothing", config.SMOOTHINGS)
def test_what_is_written_is_read(tmp_path, smoothing):
    tables = estimate(STORE, TOKENIZER.vocabulary_size, 3, smoothing)
    path = tmp_path / "model.arpa"
    arpa.write(path, tables, TOKENIZER)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.arpa"]
    for ours, read in zip(tables, arpa.read(path, TOKENIZER), strict=True):
        np.testing.assert_array_equal(ours.keys, read.keys)
        np.testing.assert_allclose(ours.log_probs, read.log_probs, rtol=1e-6)
        np.testing.assert_allclose(ours.backoffs, read.backoffs, rtol=1e-6)


def test_a_file_of_lmplz_is_written_again_as_it_was(tmp_path):
    sentences = FIXTURE.with_name("harbour.txt").read_text().splitlines()
    tokenizer = Words.train(sentences, min_count=1)
    tables = arpa.read(FIXTURE, tokenizer)
    arpa.write(tmp_path / "again.arpa", tables, tokenizer)

    def lines(path):
        fields = [line.split() for line in path.read_text().splitlines()]
        return {
            tuple(word for word in line if word[:1] not in "-0123456789"): [
                float(word) for word in line if word[:1] in "-0123456789"
            ]
            for line in fields
            if line and line[0] != "ngram"
        }

    theirs, ours = lines(FIXTURE), lines(tmp_path / "again.arpa")
    # START's own probability, which means nothing, and the newline, which
    # the text has not, differ.
    assert ours.pop(("\\x0a",)) == [-99, 0]
    assert theirs.pop(("<s>",))[1] == pytest.approx(ours.pop(("<s>",))[1])
    assert ours.keys() == theirs.keys()
    for gram, numbers in theirs.items():
        assert ours[gram] == pytest.approx(numbers, rel=1e-5, abs=1e-6), gram


def test_small_file(tmp_path):
    unigrams, bigrams = arpa.read(write(tmp_path, SMALL), TOKENIZER)
    size = TOKENIZER.vocabulary_size
    [a] = TOKENIZER.tokenize("a").numpy()
    expected = np.full(size + 1, -np.inf)
    expected[[1, 3, a, size]] = np.log([0.1, 10**-0.5, 0.5, 1])
    np.testing.assert_allclose(unigrams.log_probs, expected, rtol=1e-6)
    weights = np.zeros(size + 1)
    weights[[2, a]] = [-0.25 * np.log(10), -np.inf]
    np.testing.assert_allclose(unigrams.backoffs, weights, rtol=1e-6)
    # Sorted, whatever the file's order.
    assert bigrams.keys[:2].tolist() == [2 * size + a, a * size + a]
    np.testing.assert_allclose(
        bigrams.log_probs, np.array([-0.2, -0.125, 0]) * np.log(10), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "\\date\\", r"have a line `\\data\\`"),
        ("ngram 2=2", "ngram 3=2", "go on with `ngram 2=`"),
        ("ngram 1=4\nngram 2=2\n", "", "say how many n-grams follow"),
        ("ngram 2=2", "ngram 2=3", "have 3 lines for the 2-grams"),
        ("ngram 2=2", "ngram 2=1", r"have `\\end\\` here"),
        ("\ta\ta", "\ta\tz", "no word but the tokenizer's.*line 14: 'z'"),
        ("-0.125\ta\ta", "-0.125\ta", "a number and 2 words in this line"),
        ("-0.125\ta\ta", "-0.125\ta\ta\t0\t0", "a number and 2 words"),
        ("-0.125\ta\ta", "-0.125\t<s>\ta", "list an n-gram once"),
        ("\\end\\", "", "have `.end.` here"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, old, new, message):
    assert old in SMALL
    text = SMALL.replace(old, new)
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=f"^`path` must be .*{message}"):
        arpa.read(path, TOKENIZER)


def test_an_n_gram_needs_its_first_words(tmp_path):
    text = SMALL.replace("ngram 2=2", "ngram 2=2\nngram 3=1").replace(
        "\\end", "\\3-grams:\n-1\ta\t</s>\ta\n\\end"
    )
    with pytest.raises(ValueError, match="first words as .*'a </s> a'"):
        arpa.read(write(tmp_path, text), TOKENIZER)


def test_a_file_that_fails_is_not_left_behind(tmp_path):
    tables = estimate(STORE, TOKENIZER.vocabulary_size, 2)
    with pytest.raises(IndexError):
        arpa.write(tmp_path / "model.arpa", tables, Characters("a"))
    assert not list(tmp_path.iterdir())
