"""Strings <-> ids. Every kind has one interface, `Tokenizer`."""

import os
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tflm import config
from tflm.tokenizers import tokenizer as _tokenizer
from tflm.tokenizers.byte_tokens import Bytes
from tflm.tokenizers.characters import Characters
from tflm.tokenizers.keras_hub import KerasHubTokenizer
from tflm.tokenizers.sentence_piece import MODEL_TYPES, SentencePiece
from tflm.tokenizers.tokenizer import Tokenizer
from tflm.tokenizers.word_piece import WordPiece
from tflm.tokenizers.words import Words

KINDS: dict[str, type[Tokenizer]] = {
    kind.kind: kind
    for kind in (
        Bytes,
        Characters,
        KerasHubTokenizer,
        SentencePiece,
        WordPiece,
        Words,
    )
}

__all__ = [
    "KINDS",
    "Bytes",
    "Characters",
    "KerasHubTokenizer",
    "SentencePiece",
    "Tokenizer",
    "WordPiece",
    "Words",
    "load",
    "train",
]


def train(
    texts: Iterable[str | bytes | tf.Tensor],
    settings: config.TokenizerConfig,
) -> Tokenizer:
    """Trains the kind of tokenizer that the settings name.

    Args:
        texts: Iterable or `tf.data.Dataset` of scalar strings: the training
            split and nothing else.
        settings: The kind and its options.

    Returns:
        The `Tokenizer`.
    """
    if settings.tokenizer == Bytes.kind:
        return Bytes()
    options: dict[str, Any] = {
        "vocabulary_size": settings.vocabulary_size,
        "lowercase": settings.lowercase,
        "normalization": settings.normalization,
    }
    sample: dict[str, Any] = {"sample_characters": settings.sample_characters}
    if settings.tokenizer in MODEL_TYPES:
        kind = settings.tokenizer
        return SentencePiece.train(texts, kind, **options, **sample)
    if settings.min_count is not None:
        options["min_count"] = settings.min_count
    if settings.tokenizer == Characters.kind:
        return Characters.train(texts, **options)
    options["unknown_word"] = settings.unknown_word
    if settings.tokenizer == WordPiece.kind:
        return WordPiece.train(texts, **options, **sample)
    return Words.train(texts, splitter=settings.splitter, **options)


def load(directory: str | os.PathLike[str]) -> Tokenizer:
    """Reads a tokenizer of any kind from the folder it was saved in.

    Raises:
        FileNotFoundError: If there is no tokenizer in the folder.
        ValueError: If it is of a kind that this version does not know.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Characters("abc").save(folder)
    ...     tokenizer = load(folder)
    >>> tokenizer.tokenize("cab").numpy().tolist()
    [6, 4, 5]
    """
    return _tokenizer.read_config(directory, KINDS)
