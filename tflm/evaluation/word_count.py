"""The words of a text, whatever its tokens are."""

import tensorflow as tf

_PIECES = 16  # counted at once: at most 16 MiB of text


def count_words(pieces: tf.data.Dataset) -> int:
    r"""Runs of anything but ASCII white space, and newlines.

    So the words of a text are the tokens that `tokenizers.Words` makes of it,
    and those of published word-level figures, whose newline is `<eos>`.

    Args:
        pieces: `tf.data.Dataset` of pieces, dicts with a string `text`.

    Returns:
        The words of all pieces together.

    Example:
    >>> text = "to be,\n or\tnot\n"
    >>> count_words(tf.data.Dataset.from_tensors({"text": text}))
    6
    """

    def count(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        text = batch["text"]  # [B]
        words = tf.strings.split(text).flat_values
        lines = tf.strings.split(text, "\n").flat_values
        return tf.size(words) + tf.size(lines) - tf.size(text)

    batches = pieces.batch(_PIECES).map(count)
    return sum(int(words) for words in batches.as_numpy_iterator())
