r"""Where in a text its tokens stand.

A tokenizer gives ids alone; which bytes an id came from is found here, by
cutting the text as the kind of tokenizer does.
"""

import itertools
import re

import numpy as np
import tensorflow as tf

from tflm.tokenizers import (
    Bytes,
    Characters,
    SentencePiece,
    Tokenizer,
    WordPiece,
    Words,
)

_WORD = re.compile(rb"\n|[^ \t\n\v\f\r]+")


def token_spans(tokenizer: Tokenizer, text: bytes) -> list[tuple[int, int]]:
    r"""The bytes that each token of a text came from.

    Args:
        tokenizer: Of any kind but KerasHub's; subwords in lower case are
            told apart only where no letter changes its length.
        text: The text in UTF-8; broken sequences are allowed.

    Returns:
        For each id of `tokenizer.tokenize(text)` its first byte and the one
        behind its last. White space between words belongs to no token.

    Raises:
        ValueError: If the tokenizer does not tell.

    Example:
    >>> tokenizer = Words(["\n", "a", "rose"])
    >>> token_spans(tokenizer, b"a  rose\n")
    [(0, 1), (3, 7), (7, 8)]
    """
    if isinstance(tokenizer, Bytes):
        return [(place, place + 1) for place in range(len(text))]
    if isinstance(tokenizer, SentencePiece):
        return _piece_spans(tokenizer, text)
    if isinstance(tokenizer, WordPiece):
        return _word_piece_spans(tokenizer, text)
    if isinstance(tokenizer, Words) and tokenizer.splitter == "unicode":
        return _unicode_word_spans(tokenizer, text)
    if isinstance(tokenizer, Words):
        return [match.span() for match in _WORD.finditer(text)]
    if isinstance(tokenizer, Characters):
        return _character_spans(tokenizer, text)
    raise ValueError(
        "`tokenizer` must be one of tflm's own to tell where its tokens "
        f"stand in the text. Received: tokenizer={tokenizer.kind}"
    )


def _piece_spans(
    tokenizer: SentencePiece, text: bytes
) -> list[tuple[int, int]]:
    ids = tokenizer.tokenize(tf.constant(text))
    sizes = tf.strings.length(tokenizer.detokenize(ids[:, tf.newaxis]))
    bounds = [0, *np.cumsum(sizes.numpy()).tolist()]
    if bounds[-1] != len(text):
        raise ValueError(
            "`text` must be valid UTF-8 whose letters keep their length in "
            "lower case to tell where its subwords stand. Received: "
            f"{len(text)} bytes, {bounds[-1]} in tokens"
        )
    return list(itertools.pairwise(bounds))


def _unicode_word_spans(tokenizer: Words, text: bytes) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        begin, end = match.span()
        words, _ = tokenizer.split(tf.constant([match[0]]))
        # What follows the first begins with a joiner that is not in the text.
        sizes = tf.strings.length(words.flat_values).numpy()
        sizes[1:] -= 1
        bounds = [begin, *(begin + np.cumsum(sizes[:-1])).tolist(), end]
        spans.extend(itertools.pairwise(min(b, end) for b in bounds))
    return spans


def _word_piece_spans(
    tokenizer: WordPiece, text: bytes
) -> list[tuple[int, int]]:
    spans = []
    for match in _WORD.finditer(text):
        begin, end = match.span()
        ids = tokenizer.tokenize(tf.constant(match[0]))
        if len(ids) == 1:
            spans.append((begin, end))
            continue
        # All pieces of a word but the last have the length of their text.
        sizes = [len(tokenizer.piece(int(id_))) for id_ in ids]
        bounds = [begin, *(begin + np.cumsum(sizes[:-1])).tolist(), end]
        spans.extend(itertools.pairwise(min(b, end) for b in bounds))
    return spans


def _character_spans(
    tokenizer: Characters, text: bytes
) -> list[tuple[int, int]]:
    _, offsets = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
    bounds = [*offsets.numpy().tolist(), len(text)]
    spans = list(itertools.pairwise(bounds))
    if tokenizer.lowercase and spans:
        # A capital may become more than one character.
        pieces = tf.constant([text[begin:end] for begin, end in spans])
        counts = tokenizer.tokenize(pieces).row_lengths().numpy()
        pairs = zip(spans, counts, strict=True)
        return [span for span, count in pairs for _ in range(count)]
    return spans
