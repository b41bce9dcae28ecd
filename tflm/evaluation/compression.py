"""What a general compressor needs for a text: a floor to stand on."""

import lzma

import tensorflow as tf


def xz_bits_per_byte(training: tf.data.Dataset, text: tf.data.Dataset) -> float:
    """Bits that xz adds for each byte of a text after the training text.

    Both are compressed with a dictionary that spans them, so that xz can
    refer to the training text as a model can.

    Args:
        training: `tf.data.Dataset` of pieces, dicts with a string `text`.
        text: Likewise, the text to be scored.

    Returns:
        `8 * (xz(training + text) - xz(training)) / bytes(text)`.

    Example:
    >>> def pieces(text):
    ...     return tf.data.Dataset.from_tensors({"text": text})
    >>> seen = "pack my box with five dozen liquor jugs " * 100
    >>> xz_bits_per_byte(pieces(seen), pieces(seen)) < 0.1
    True
    """
    known, new = _join(training), _join(text)
    size = max(len(known) + len(new), 2**16)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": size}]

    def packed(data: bytes) -> int:
        return len(lzma.compress(data, lzma.FORMAT_XZ, filters=filters))

    return 8 * (packed(known + new) - packed(known)) / max(len(new), 1)


def _join(pieces: tf.data.Dataset) -> bytes:
    return b"".join(p["text"] for p in pieces.as_numpy_iterator())
