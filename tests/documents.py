"""Documents of ids, and the store of them, in plain Python."""

import random
from typing import NamedTuple

import numpy as np

from tflm.pipelines import TokenStore
from tflm.pipelines.token_store import Counts

UNKNOWN, START, END = 1, 2, 3
FIRST = 4  # the first id that is not special


class Document(NamedTuple):
    """Ids of a text, and whether END follows or a split cut it off."""

    ids: list[int]
    ends: bool = True

    @property
    def targets(self):
        return self.ids + [END] * self.ends

    @property
    def pairs(self):
        """The (input, target) pairs in reading order."""
        return list(zip([START, *self.ids], self.targets, strict=False))


def random_documents(seed, count=12, longest=20, vocabulary_size=12):
    """Documents of many lengths; empty and cut ones are among them."""
    choose = random.Random(seed)
    documents = [Document([], True), Document([], False)]
    for _ in range(count):
        length = choose.choice([0, 1, 2, choose.randint(3, longest)])
        ids = [choose.randrange(FIRST, vocabulary_size) for _ in range(length)]
        documents.append(Document(ids, choose.random() < 0.7))
    documents.append(Document([FIRST] * longest))
    choose.shuffle(documents)
    return documents


def numbered(lengths):
    """Documents in which each id, and so each target, occurs once."""
    documents, following = [], FIRST
    for length in lengths:
        ids = list(range(following, following + length))
        documents.append(Document(ids, ends=False))
        following += length
    return documents


def store_of(documents):
    """The store of documents whose characters are all of one byte."""
    targets = [target for d in documents for target in d.targets]
    starts = np.cumsum([0] + [len(d.targets) for d in documents[:-1]])
    characters = sum(len(d.ids) for d in documents)
    ends = sum(d.ends for d in documents)
    unknown = targets.count(UNKNOWN)
    counts = Counts(
        documents=len(documents),
        tokens=len(targets),
        ends=ends,
        unknown_tokens=unknown,
        unknown_bytes=unknown,
        characters=characters,
        bytes=characters,
    )
    dtype = np.uint16 if max(targets) < 2**16 else np.uint32
    return TokenStore(
        np.array(targets, dtype), starts.astype(np.int64), counts, "hash"
    )
