"""What every tokenizer is: strings [B] <-> ragged ids [B,(T)]."""

import abc
import hashlib
import json
import os
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from tflm import checked, writing

FILE_NAME = "tokenizer.json"


class Tokenizer(abc.ABC):
    """Turns strings into ids and back, in graphs and eagerly.

    The first four ids are the same for every kind: `pad_id` 0, `unk_id` 1,
    `start_id` 2, `end_id` 3. Text never turns into padding, start or end.
    """

    kind: ClassVar[str]
    # What has to be imported where an export is loaded: its operations are
    # not TensorFlow's own.
    op_libraries: tuple[str, ...] = ()
    pad_id: ClassVar[int] = 0
    unk_id: ClassVar[int] = 1
    start_id: ClassVar[int] = 2
    end_id: ClassVar[int] = 3

    @property
    @abc.abstractmethod
    def vocabulary_size(self) -> int:
        """How many ids there are, the four special ones included."""

    @abc.abstractmethod
    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Strings, a scalar or [B], to int32 ids, [T] or ragged [B,(T)]."""

    @abc.abstractmethod
    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Ids, [T], [B,T] or ragged [B,(T)], to strings, a scalar or [B]."""

    def continuation(
        self, ids: tf.RaggedTensor | tf.Tensor, follows: tf.Tensor
    ) -> tf.Tensor:
        """The text of ids that is to stand behind other text.

        Args:
            ids: [B,T] or ragged [B,(T)].
            follows: Strings [B], the text before. Words use it to tell
                whether a space is missing; other kinds do not.

        Returns:
            Strings [B]; `follows + continuation` is the whole text.
        """
        return self.detokenize(ids)

    @abc.abstractmethod
    def unknown_bytes(self, strings: tf.Tensor) -> tf.Tensor:
        """UTF-8 bytes of the pieces that `tokenize` maps to `unk_id`.

        They are counted in the text that is cut: in lower case and in its
        normal form, if the tokenizer gives it one.

        Args:
            strings: A scalar string or strings [B].

        Returns:
            int64, of the shape of `strings`.
        """

    def unknown_pieces(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """The pieces of each text that `tokenize` maps to `unk_id`, in order.

        A kind that does not tell them gives what it shows in their place.

        Args:
            strings: Strings [B].

        Returns:
            Strings [B,(U)], in lower case and in normal form, if the
            tokenizer gives the text one.
        """
        ids = self.tokenize(strings)
        lost = tf.ragged.boolean_mask(ids, ids == self.unk_id)  # [B,(U)]
        shown = self.detokenize(lost.flat_values[:, tf.newaxis])
        return lost.with_flat_values(shown)

    def tokenize_and_count(
        self, strings: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """The ids of strings [B], and the bytes of all unknown pieces.

        A kind that finds out both at once overrides this.
        """
        lost = tf.reduce_sum(self.unknown_bytes(strings))
        return self.tokenize(strings), lost

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """All that makes this tokenizer, as plain JSON values."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Tokenizer":
        """The tokenizer that `get_config` described."""
        return cls(**config)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes the tokenizer into a folder, which is made if need be."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        saved = {"kind": self.kind, **self.get_config()}
        writing.write_json(Path(directory) / FILE_NAME, saved)

    def fingerprint(self) -> str:
        """A hash of all that decides the ids of a text."""
        saved = {"kind": self.kind, **self.get_config()}
        canonical = json.dumps(saved, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def read_config(
    directory: str | os.PathLike[str], kinds: dict[str, type[Tokenizer]]
) -> Tokenizer:
    """Reads what `Tokenizer.save` wrote, whichever of `kinds` it is."""
    path = Path(directory) / FILE_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"`directory` must hold a saved tokenizer ({FILE_NAME}). "
            f"Received: directory={os.fspath(directory)!r}"
        )
    saved = writing.read_json(path)
    kind = saved.pop("kind")
    if kind not in kinds:
        raise ValueError(checked.unknown("tokenizer", kind, kinds))
    return kinds[kind].from_config(saved)
