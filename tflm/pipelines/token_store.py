"""A split's ids on disk, written once for each text and tokenizer.

Axes: B batch, (T) tokens of a piece, ragged, N all targets of the split.
"""

import dataclasses
import functools
import hashlib
import mmap
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tflm import parallel, writing
from tflm.datasets import Piece, pieces_of
from tflm.grouping import by_size
from tflm.tokenizers import Tokenizer

_FORMAT = 2
# Tokenized at once, by each of two threads: what leads from a text to its ids
# takes a hundred times as much as the text.
_BATCH_BYTES = 2**20
_BATCH_PIECES = 2**14


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a split holds."""

    documents: int  # documents, or the parts of them that a split left
    tokens: int  # targets, END included
    ends: int  # targets that are END
    unknown_tokens: int  # tokens outside the vocabulary
    unknown_bytes: int  # UTF-8 bytes of their text
    characters: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class TokenStore:
    """The targets of a split, memory-mapped, and where its documents start.

    Attributes:
        targets: uint16 or uint32 [N], see `pipelines.examples`.
        starts: int64, ascending: where in [0, N) a document starts.
        counts: Documents, tokens, characters and bytes of the text.
        text_hash: SHA-256 of the text and of its division into documents.
    """

    targets: np.ndarray
    starts: np.ndarray
    counts: Counts
    text_hash: str

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        tokenizer: Tokenizer | None = None,
    ) -> "TokenStore":
        """Opens a store that `prepare` wrote.

        Args:
            directory: The store's folder.
            tokenizer: Optional tokenizer that its ids have to be of.

        Raises:
            ValueError: If it is of another tokenizer, or not whole.
        """
        directory = Path(directory)
        try:
            meta = writing.read_json(directory / "store.json")
        except ValueError:
            raise _unfit(directory, "has a damaged store.json") from None
        if tokenizer and meta["tokenizer"] != tokenizer.fingerprint():
            raise _unfit(directory, "is one of another tokenizer")
        counts = Counts(**meta["counts"])
        there = (directory / "targets.bin").stat().st_size
        needed = counts.tokens * np.dtype(meta["dtype"]).itemsize
        if there != needed:
            raise _unfit(directory, f"has {there:,} bytes of {needed:,}")
        targets = np.memmap(
            directory / "targets.bin",
            dtype=meta["dtype"],
            mode="r",
            shape=(counts.tokens,),
        )
        starts = np.load(directory / "starts.npy")
        return cls(targets, starts, counts, meta["text_hash"])

    @property
    def lengths(self) -> np.ndarray:
        """Targets in each document, int64 [documents]."""
        return np.diff(self.starts, append=len(self.targets))

    def release(self) -> None:
        """Lets go of the memory that reading has mapped; the disk keeps it."""
        if isinstance(self.targets, np.memmap) and hasattr(mmap, "MADV_RANDOM"):
            mapped: Any = self.targets._mmap  # type: ignore[attr-defined]
            mapped.madvise(mmap.MADV_DONTNEED)

    def joined(self) -> "TokenStore":
        """The documents' tokens one after another, as one text without END.

        Raises:
            ValueError: If the documents hold no token.
        """
        targets = self.targets[self.targets != Tokenizer.end_id]
        if not len(targets):
            raise ValueError(
                "documents must hold a token to be joined. Received: "
                f"{self.counts.documents} empty documents"
            )
        counts = dataclasses.replace(
            self.counts, documents=1, tokens=len(targets), ends=0
        )
        text_hash = hashlib.sha256(f"joined {self.text_hash}".encode())
        return TokenStore(
            targets, np.zeros(1, np.int64), counts, text_hash.hexdigest()
        )


def prepare(
    pieces: tf.data.Dataset,
    tokenizer: Tokenizer,
    cache_dir: str | os.PathLike[str],
) -> TokenStore:
    """Tokenizes a split into a store, unless that store stands there.

    The store's name is a hash of the text's content and of the tokenizer's,
    so that a changed text or vocabulary never meets an old store.

    Args:
        pieces: `tf.data.Dataset` of dicts of scalars `text`, `starts` and
            `ends`, as `tflm.datasets` gives them.
        tokenizer: Turns the text into ids.
        cache_dir: Folder of stores; made if it is not there.

    Returns:
        The `TokenStore`.

    Raises:
        ValueError: If the text holds no token, or if what stands under the
            store's name is another store or not whole.

    Example:
    >>> import tempfile
    >>> from tflm.tokenizers import Characters
    >>> both = [True, True]
    >>> text = {"text": ["abcab", "ba"], "starts": both, "ends": both}
    >>> pieces = tf.data.Dataset.from_tensor_slices(text)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = prepare(pieces, Characters("abc"), folder)
    >>> store.targets.tolist(), store.starts.tolist(), store.counts.ends
    ([4, 5, 6, 4, 5, 3, 5, 4, 3], [0, 6], 2)
    """
    text_hash = hash_text(pieces)
    key = f"{_FORMAT} {text_hash} {tokenizer.fingerprint()}"
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    directory = Path(cache_dir) / name
    if not (directory / "store.json").is_file():
        # What an earlier, broken file system left under this name is no store.
        shutil.rmtree(directory, ignore_errors=True)
        try:
            with writing.new_directory(directory) as beside:
                if _write(beside, pieces, tokenizer, text_hash) != text_hash:
                    raise ValueError(
                        "the text must not change while it is read: its "
                        "files are others than a moment ago. Start again"
                    )
        except OSError:
            # Another process may have written the same store meanwhile.
            if not (directory / "store.json").is_file():
                raise
    return TokenStore.open(directory, tokenizer)


def _unfit(directory: Path, fault: str) -> ValueError:
    return ValueError(
        "`cache_dir` must hold stores as they were written. Received: "
        f"{directory}, which {fault}. Delete that folder: it is made anew"
    )


def hash_text(pieces: tf.data.Dataset) -> str:
    """SHA-256 of the pieces' texts and flags, in order."""
    digest = hashlib.sha256()
    for piece in pieces_of(pieces):
        _add(digest, piece)
    return digest.hexdigest()


def _add(digest: Any, piece: Piece) -> None:
    flags = (piece.starts, piece.ends, len(piece.text))
    digest.update(struct.pack("<??Q", *flags))
    digest.update(piece.text)


def _write(
    directory: Path,
    pieces: tf.data.Dataset,
    tokenizer: Tokenizer,
    text_hash: str,
) -> str:
    """Writes the store's files; returns the hash of the text that was read."""
    digest = hashlib.sha256()
    dtype = np.uint16 if tokenizer.vocabulary_size <= 2**16 else np.uint32
    totals = np.zeros(4, np.int64)
    starts: list[int] = []
    written = ends = 0
    groups = by_size(
        pieces_of(pieces),
        lambda piece: len(piece.text),
        _BATCH_BYTES,
        _BATCH_PIECES,
    )
    batches = parallel.mapped(_counting(tokenizer), groups)
    with (directory / "targets.bin").open("wb") as file:
        for batch, ids, splits, sums in batches:
            totals += sums
            for place, piece in enumerate(batch):
                _add(digest, piece)
                row = ids[splits[place] : splits[place + 1]]
                if piece.starts:
                    starts.append(written)
                file.write(row.astype(dtype).tobytes())
                if piece.ends:
                    file.write(dtype(Tokenizer.end_id).tobytes())
                written += len(row) + piece.ends
                ends += piece.ends
    if not written:
        raise ValueError("the text must hold a token. Received: an empty text")
    np.save(directory / "starts.npy", np.array(starts, np.int64))
    counts = Counts(len(starts), written, ends, *(int(sum_) for sum_ in totals))
    meta = {
        "dtype": np.dtype(dtype).name,
        "counts": dataclasses.asdict(counts),
        "text_hash": text_hash,
        "tokenizer": tokenizer.fingerprint(),
    }
    writing.write_json(directory / "store.json", meta)
    return digest.hexdigest()


def _counting(tokenizer: Tokenizer) -> Callable[[list[Piece]], tuple]:
    """Makes of a list of pieces: itself, ids [N], where rows begin, sums."""

    @functools.partial(
        tf.function,
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    def count(text: tf.Tensor) -> tuple[tf.Tensor, ...]:
        ids, lost = tokenizer.tokenize_and_count(text)  # [B,(T)]
        unknown = tf.cast(ids.flat_values == Tokenizer.unk_id, tf.int64)
        sums = [
            tf.reduce_sum(unknown),
            lost,
            tf.reduce_sum(tf.strings.length(text, "UTF8_CHAR")),
            tf.reduce_sum(tf.strings.length(text, "BYTE")),
        ]
        totals = tf.stack([tf.cast(s, tf.int64) for s in sums])
        return ids.flat_values, ids.row_splits, totals

    def of(batch: list[Piece]) -> tuple:
        text = tf.constant([piece.text for piece in batch], tf.string)
        return batch, *(tensor.numpy() for tensor in count(text))

    return of
