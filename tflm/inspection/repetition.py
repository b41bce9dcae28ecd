"""Documents that come twice, and held-out paragraphs that training has too."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tflm.datasets import divided, pieces_of

# Shorter paragraphs, such as headings, repeat without telling anything.
LEAST_CHARACTERS = 60
_EXAMPLES = 3
_SHOWN = 70  # characters of an example


@dataclasses.dataclass(frozen=True)
class Repetition:
    """What stands more than once.

    Attributes:
        duplicates: By split, documents that an earlier one of it equals.
        shared_documents: By held-out split, documents that equal one of the
            training split.
        paragraphs: By held-out split, its paragraphs of 60 characters or more.
        shared_paragraphs: By held-out split, those that stand in the training
            split too, white space aside.
        examples: By held-out split, the beginnings of a few of the latter.
    """

    duplicates: dict[str, int]
    shared_documents: dict[str, int]
    paragraphs: dict[str, int]
    shared_paragraphs: dict[str, int]
    examples: dict[str, list[str]]


def find_repetition(
    splits: dict[str, tf.data.Dataset], unit: str = "paragraph"
) -> Repetition:
    """Compares all documents and paragraphs by hashes of their text.

    Args:
        splits: Pieces of documents by split, see `datasets.TextSplits`.
        unit: "paragraph", ended by a blank line, or "line".

    Returns:
        The `Repetition`.
    """
    found = Repetition({}, {}, {}, {}, {})
    known: set[bytes] = set()
    training: set[bytes] = set()
    for split, pieces in splits.items():  # training comes first
        own: set[bytes] = set()
        documents = shared = 0
        for digest in _documents(pieces):
            documents += 1
            shared += digest in known
            own.add(digest)
        found.duplicates[split] = documents - len(own)
        if split == "train":
            known = own
            training = {digest for digest, _ in _paragraphs(pieces, unit)}
            continue
        found.shared_documents[split] = shared
        found.paragraphs[split] = found.shared_paragraphs[split] = 0
        examples = found.examples[split] = []
        for digest, text in _paragraphs(pieces, unit):
            found.paragraphs[split] += 1
            if digest in training:
                found.shared_paragraphs[split] += 1
                if len(examples) < _EXAMPLES:
                    examples.append(text[:_SHOWN])
    return found


def _documents(pieces: tf.data.Dataset) -> Iterator[bytes]:
    digest: Any = None
    for piece in pieces_of(pieces):
        if piece.starts:
            if digest is not None:
                yield digest.digest()
            digest = hashlib.blake2b(digest_size=16)
        digest.update(piece.text)
    if digest is not None:
        yield digest.digest()


def _paragraphs(
    pieces: tf.data.Dataset, unit: str
) -> Iterator[tuple[bytes, str]]:
    for piece in pieces_of(divided(pieces, unit)):
        text = " ".join(piece.text.decode("utf-8", "replace").split())
        if len(text) >= LEAST_CHARACTERS:
            digest = hashlib.blake2b(text.encode(), digest_size=16)
            yield digest.digest(), text
