r"""Where in a text its tokens stand.

A tokenizer gives ids alone; which bytes an id came from is found here, by
cutting the text as the kind of tokenizer does.
"""

import itertools
import re

import tensorflow as tf

from tflm.tokenizers import Bytes, Characters, Tokenizer, Words

_WORD = re.compile(rb"\n|[^ \t\n\v\f\r]+")


def token_spans(tokenizer: Tokenizer, text: bytes) -> list[tuple[int, int]]:
    r"""The bytes that each token of a text came from.

    Args:
        tokenizer: Of characters, bytes or words.
        text: The text in UTF-8; broken sequences are allowed.

    Returns:
        For each id of `tokenizer.tokenize(text)` its first byte and the one
        behind its last. White space between words belongs to no token.

    Raises:
        ValueError: If the kind of tokenizer does not tell.

    Example:
    >>> tokenizer = Words(["\n", "a", "rose"])
    >>> token_spans(tokenizer, b"a  rose\n")
    [(0, 1), (3, 7), (7, 8)]
    """
    if isinstance(tokenizer, Bytes):
        return [(place, place + 1) for place in range(len(text))]
    if isinstance(tokenizer, Words):
        return [match.span() for match in _WORD.finditer(text)]
    if isinstance(tokenizer, Characters):
        return _character_spans(tokenizer, text)
    raise ValueError(
        "`tokenizer` must be characters, bytes or words to tell where its "
        f"tokens stand in the text. Received: tokenizer={tokenizer.kind}"
    )


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
