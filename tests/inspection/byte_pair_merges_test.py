from collections import Counter

from tflm.inspection import byte_pair_merges
from tflm.inspection.byte_pair_merges import EXAMPLE


def test_example_is_the_textbooks():
    merges = byte_pair_merges()
    assert ["".join(merge.pair) for merge in merges] == [
        "er",
        "er_",
        "ne",
        "new",
        "lo",
        "low",
        "newer_",
        "low_",
    ]
    assert [merge.frequency for merge in merges] == [9, 9, 8, 8, 7, 7, 6, 5]
    assert merges[-1].words == [
        "low_",
        "low e s t _",
        "newer_",
        "w i d er_",
        "new _",
    ]


def test_each_pair_was_the_most_frequent_where_it_was_merged():
    words = [" ".join([*word, "_"]) for word in EXAMPLE]
    for merge in byte_pair_merges(merges=100):
        pairs = Counter()
        for word, count in zip(words, EXAMPLE.values(), strict=True):
            symbols = word.split()
            for place in range(len(symbols) - 1):
                pairs[symbols[place], symbols[place + 1]] += count
        assert pairs[merge.pair] == merge.frequency == max(pairs.values())
        assert merge.words != words
        words = merge.words
    # It went on until each word was one symbol.
    assert words == [f"{word}_" for word in EXAMPLE]
