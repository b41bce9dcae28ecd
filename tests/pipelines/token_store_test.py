import dataclasses
import errno
import hashlib
import itertools
import json
import os
import random
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.documents import END, UNKNOWN
from tflm import pipelines, writing
from tflm.pipelines import TokenStore
from tflm.pipelines.token_store import hash_text
from tflm.tokenizers import Characters

VOCABULARY = "ab é日"
TOKENIZER = Characters(VOCABULARY)

# Pieces (text, starts, ends): documents of one and of many pieces, complete
# and cut, empty ones, and characters of every length that are not known.
PIECES = [
    ("ab é", True, True),
    ("", True, True),
    ("a", True, False),
    ("b x", False, False),
    ("", False, False),
    ("日🦜", False, True),
    ("", True, False),
    ("cut ß", True, False),
    ("é日" * 40, True, True),
]


def dataset(pieces):
    texts, starts, ends = zip(*pieces, strict=True)
    return tf.data.Dataset.from_tensor_slices(
        {
            "text": tf.constant([text.encode() for text in texts]),
            "starts": tf.constant(starts),
            "ends": tf.constant(ends),
        }
    )


def brute(pieces, vocabulary=VOCABULARY):
    """Targets, starts and counts by name."""
    targets, starts, unknown = [], [], []
    for text, begins, finishes in pieces:
        starts += [len(targets)] * begins
        targets += [
            4 + vocabulary.index(c) if c in vocabulary else UNKNOWN
            for c in text
        ]
        targets += [END] * finishes
        unknown += [c for c in text if c not in vocabulary]
    whole = "".join(text for text, *_ in pieces)
    return (
        targets,
        starts,
        {
            "documents": len(starts),
            "tokens": len(targets),
            "ends": sum(finishes for *_, finishes in pieces),
            "unknown_tokens": len(unknown),
            "unknown_bytes": sum(len(c.encode()) for c in unknown),
            "characters": len(whole),
            "bytes": len(whole.encode()),
        },
    )


def assert_holds(store, pieces, vocabulary=VOCABULARY):
    targets, starts, counts = brute(pieces, vocabulary)
    assert store.targets.tolist() == targets
    assert store.starts.tolist() == starts
    assert dataclasses.asdict(store.counts) == counts
    lengths = np.diff([*starts, len(targets)])
    assert store.lengths.tolist() == lengths.tolist()


def test_store_holds_what_python_counts(tmp_path):
    store = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    assert_holds(store, PIECES)


def test_more_pieces_than_are_tokenized_at_once(tmp_path):
    choose = random.Random(0)
    pieces = [
        (
            "".join(choose.choices("ab é日xß🦜", k=choose.randrange(5))),
            number == 0 or choose.random() < 0.5,
            choose.random() < 0.5,
        )
        for number in range(100)
    ]
    store = pipelines.prepare(dataset(pieces), TOKENIZER, tmp_path)
    assert_holds(store, pieces)


def test_opened_store_equals_the_prepared_one(tmp_path):
    prepared = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    [directory] = tmp_path.iterdir()
    opened = TokenStore.open(directory)
    assert_holds(opened, PIECES)
    assert opened.text_hash == prepared.text_hash


def test_cache_is_made_with_its_parents(tmp_path):
    cache = tmp_path / "not" / "there"
    assert_holds(pipelines.prepare(dataset(PIECES), TOKENIZER, cache), PIECES)


def test_targets_are_mapped_and_cannot_be_written(tmp_path):
    store = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    assert isinstance(store.targets, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.targets[0] = 9


@pytest.mark.parametrize(
    ("vocabulary_size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.uint32)]
)
def test_ids_are_as_wide_as_the_vocabulary_needs(
    tmp_path, vocabulary_size, dtype
):
    # From beyond the surrogates on, where there are enough characters.
    # Four ids are special, and "a" is known too.
    vocabulary = "".join(chr(0xE000 + n) for n in range(vocabulary_size - 5))
    pieces = [(vocabulary[0] + vocabulary[-1] + "a", True, True)]
    tokenizer = Characters(vocabulary + "a")
    assert tokenizer.vocabulary_size == vocabulary_size
    store = pipelines.prepare(dataset(pieces), tokenizer, tmp_path)
    assert store.targets.dtype == dtype
    assert_holds(store, pieces, vocabulary + "a")


@pytest.mark.parametrize(
    ("pieces", "vocabulary"),
    [
        ([("ab", True, True), ("b", True, True)], "ab"),
        ([("aa", True, True), ("b", True, True)], "ab"),  # text
        ([("a", True, True), ("bb", True, True)], "ab"),  # the same joined
        ([("ab", True, False), ("b", True, True)], "ab"),  # cut off
        ([("ab", True, False), ("b", False, True)], "ab"),  # one document
        ([("b", True, True), ("ab", True, True)], "ab"),  # order
        ([("ab", True, True), ("b", True, True)], "ba"),  # ids
        ([("ab", True, True), ("b", True, True)], "abc"),  # vocabulary
    ],
)
def test_store_of_something_else_is_never_served(tmp_path, pieces, vocabulary):
    first = [("ab", True, True), ("b", True, True)]
    pipelines.prepare(dataset(first), Characters("ab"), tmp_path)
    store = pipelines.prepare(dataset(pieces), Characters(vocabulary), tmp_path)
    assert_holds(store, pieces, vocabulary)
    same = pieces == first and vocabulary == "ab"
    assert len(list(tmp_path.iterdir())) == (1 if same else 2)


def test_hash_is_of_text_and_division_only():
    divided = [
        [("ab", True, True)],
        [("a", True, True), ("b", True, True)],
        [("a", True, False), ("b", False, True)],
        [("ab", True, False)],
        [("ab", False, True)],
        [("ba", True, True)],
        [("ab", True, True), ("", True, True)],
    ]
    hashes = {hash_text(dataset(pieces)) for pieces in divided}
    assert len(hashes) == len(divided)
    assert hash_text(dataset(divided[0]).prefetch(1)) in hashes
    # Two flags and the length of the text as 64 bits go before each text.
    packed = b"\1\1" + (2).to_bytes(8, "little") + b"ab"
    assert hashlib.sha256(packed).hexdigest() in hashes


def test_second_time_nothing_is_written(tmp_path):
    pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    inodes = {p: p.stat().st_ino for p in tmp_path.rglob("*")}
    store = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert {p: p.stat().st_ino for p in tmp_path.rglob("*")} == inodes
    assert_holds(store, PIECES)


def test_store_that_is_not_whole_is_written_anew(tmp_path):
    pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    [directory] = tmp_path.iterdir()
    (directory / "store.json").unlink()
    (directory / "targets.bin").write_bytes(b"half")
    store = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    assert list(tmp_path.iterdir()) == [directory]
    assert_holds(store, PIECES)


def test_store_of_another_tokenizer_is_refused(tmp_path):
    pieces, other = dataset(PIECES), Characters("ab")
    pipelines.prepare(pieces, TOKENIZER, tmp_path)
    [own] = tmp_path.iterdir()
    pipelines.prepare(pieces, other, tmp_path)
    [others] = set(tmp_path.iterdir()) - {own}
    shutil.rmtree(own)
    others.rename(own)
    message = f"{own}, which is one of another tokenizer. Delete that folder"
    with pytest.raises(ValueError, match=message):
        pipelines.prepare(pieces, TOKENIZER, tmp_path)
    with pytest.raises(ValueError, match=message):
        TokenStore.open(own, TOKENIZER)
    assert TokenStore.open(own, other).counts.tokens


def test_store_that_was_cut_is_refused(tmp_path):
    store = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    [directory] = tmp_path.iterdir()
    needed = 2 * store.counts.tokens
    os.truncate(directory / "targets.bin", needed - 2)
    message = f"has {needed - 2} bytes of {needed}. Delete that folder"
    with pytest.raises(ValueError, match=message):
        pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)


def test_store_whose_description_is_damaged_is_refused(tmp_path):
    pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    [directory] = tmp_path.iterdir()
    (directory / "store.json").write_text("{")
    message = "has a damaged store.json. Delete that folder"
    with pytest.raises(ValueError, match=message):
        pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)


def test_text_that_breaks_off_leaves_no_store(tmp_path):
    passes = []

    def broken():
        """Whole when it is hashed, broken when it is tokenized."""
        passes.append(len(passes))
        for number in range(40):
            if passes[-1] == 1 and number == 35:
                raise OSError("the disk is gone")
            yield {"text": f"text {number}", "starts": True, "ends": True}

    pieces = tf.data.Dataset.from_generator(
        broken,
        output_signature={
            "text": tf.TensorSpec([], tf.string),
            "starts": tf.TensorSpec([], tf.bool),
            "ends": tf.TensorSpec([], tf.bool),
        },
    )
    with pytest.raises(tf.errors.OpError, match="the disk is gone"):
        pipelines.prepare(pieces, TOKENIZER, tmp_path)
    assert list(tmp_path.iterdir()) == []
    # The third pass is whole again: what broke off is not in the way.
    store = pipelines.prepare(pieces, TOKENIZER, tmp_path)
    assert store.counts.documents == 40
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("pieces", [[("", True, False)], PIECES[:0]])
def test_empty_text_is_refused_and_leaves_no_store(tmp_path, pieces):
    whole = dataset([*pieces, ("", True, False)]).take(len(pieces))
    with pytest.raises(ValueError, match="the text must hold a token"):
        pipelines.prepare(whole, TOKENIZER, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_store_is_plain_files(tmp_path):
    pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    [directory] = tmp_path.iterdir()
    names = sorted(path.name for path in directory.iterdir())
    assert names == ["starts.npy", "store.json", "targets.bin"]
    targets, _, counts = brute(PIECES)
    raw = np.fromfile(directory / "targets.bin", np.uint16)
    assert raw.tolist() == targets
    saved = json.loads((directory / "store.json").read_text())
    assert saved["counts"] == counts


def test_joined_documents_are_one_text_without_ends(tmp_path):
    store = pipelines.prepare(dataset(PIECES), TOKENIZER, tmp_path)
    whole = "".join(text for text, *_ in PIECES)
    assert_holds(store.joined(), [(whole, True, False)])
    assert store.joined().text_hash != store.text_hash


def test_documents_to_be_joined_must_hold_a_token(tmp_path):
    empty = dataset([("", True, True)] * 3)
    store = pipelines.prepare(empty, TOKENIZER, tmp_path)
    message = "must hold a token to be joined. Received: 3 empty documents"
    with pytest.raises(ValueError, match=message):
        store.joined()


def test_text_that_changes_while_it_is_read_leaves_nothing(tmp_path):
    passes = itertools.count()

    def elements():
        text = "abc" if next(passes) < 1 else "abd"
        yield {"text": text.encode(), "starts": True, "ends": True}

    pieces = tf.data.Dataset.from_generator(
        elements,
        output_signature={
            "text": tf.TensorSpec((), tf.string),
            "starts": tf.TensorSpec((), tf.bool),
            "ends": tf.TensorSpec((), tf.bool),
        },
    )
    with pytest.raises(ValueError, match="must not change while it is read"):
        pipelines.prepare(pieces, Characters("abcd"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def no_space(path, value):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(writing, "write_json", no_space)
    pieces = tf.data.Dataset.from_tensors(
        {"text": "abc", "starts": True, "ends": True}
    )
    with pytest.raises(OSError, match="No space left on device"):
        pipelines.prepare(pieces, Characters("abc"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_read_is_let_go_and_read_again(tmp_path):
    pieces = tf.data.Dataset.from_tensors(
        {"text": "abc" * 200_000, "starts": True, "ends": True}
    )
    store = pipelines.prepare(pieces, Characters("abc"), tmp_path)
    before = np.array(store.targets)
    store.release()
    np.testing.assert_array_equal(store.targets, before)
    dataclasses.replace(store, targets=before).release()  # nothing is mapped
