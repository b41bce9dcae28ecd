r"""Where in a text its tokens stand.

A tokenizer gives ids alone; which bytes an id came from is found here, by
cutting the text as the kind of tokenizer does.
"""

import itertools
import re
from collections.abc import Iterable, Iterator

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
from tflm.tokenizers.alignment import aligned
from tflm.tokenizers.splitting import JOINER

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
    if isinstance(tokenizer, Words):
        normalizer = tokenizer.normalizer
        if not normalizer.lowercase and normalizer.normalization == "none":
            return _word_spans(text, _sizes(tokenizer, text))
        normal, sources = aligned(text, normalizer)
        return _in_text(_word_spans(normal, _sizes(tokenizer, text)), sources)
    if isinstance(tokenizer, SentencePiece):
        _, sources = aligned(text, tokenizer.normalizer)
        ids = tokenizer.tokenize(tf.constant(text))
        sizes = tf.strings.length(tokenizer.detokenize(ids[:, tf.newaxis]))
        bounds = [0, *np.cumsum(sizes.numpy())]
        return _in_text(itertools.pairwise(bounds), sources)
    if isinstance(tokenizer, Characters):
        normal, sources = aligned(text, tokenizer.normalizer)
        _, offsets = tf.strings.unicode_decode_with_offsets(normal, "UTF-8")
        bounds = [*offsets.numpy(), len(normal)]
        return _in_text(itertools.pairwise(bounds), sources)
    raise ValueError(
        "`tokenizer` must be one of tflm's own to tell where its tokens "
        f"stand in the text. Received: tokenizer={tokenizer.kind}"
    )


def _in_text(
    spans: Iterable[tuple[int, int]], sources: np.ndarray
) -> list[tuple[int, int]]:
    """Spans of the text from spans of its normalised form."""
    return [
        (int(sources[begin, 0]), int(sources[end - 1, 1]))
        for begin, end in spans
    ]


def _word_spans(text: bytes, sizes: Iterator[int]) -> list[tuple[int, int]]:
    """Spans of newlines and of tokens of words, given the tokens' sizes."""
    spans = []
    for match in _WORD.finditer(text):
        begin, end = match.span()
        while begin < end:
            size = 0 if match[0] == b"\n" else next(sizes)
            behind = begin + size if size else end
            spans.append((begin, behind))
            begin = behind
    return spans


def _sizes(tokenizer: Words, text: bytes) -> Iterator[int]:
    """The bytes of each token but newlines; 0 where it is a whole word."""
    if isinstance(tokenizer, WordPiece):
        ids = tokenizer.tokenize(tf.constant(text)).numpy().tolist()
        own = {id_: len(tokenizer.piece(id_)) for id_ in set(ids)}
        own[tokenizer.unk_id] = 0
        return iter([own[id_] for id_ in ids if id_ != tokenizer.newline_id])
    if tokenizer.splitter == "white_space":
        return itertools.repeat(0)
    words = tokenizer.split(tf.constant([text]))
    # What follows the first begins with a joiner that is not in the text.
    joined = tf.strings.substr(words.flat_values, 0, 1) == JOINER
    sizes = tf.strings.length(words.flat_values) - tf.cast(joined, tf.int32)
    return iter(sizes.numpy().tolist())
