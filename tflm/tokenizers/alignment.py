"""Which bytes of a text the bytes of its normalised form come from.

Axes: C characters of a text, N bytes of its normalised form.
"""

import numpy as np
import tensorflow as tf

from tflm.tokenizers.normalizer import Normalizer


def aligned(text: bytes, normalizer: Normalizer) -> tuple[bytes, np.ndarray]:
    """Normalises a text and tells where each byte comes from.

    Args:
        text: Bytes; what is not UTF-8 becomes U+FFFD.
        normalizer: What is done to the text then.

    Returns:
        The normalised text, and int64 [N,2]: for each of its bytes the first
        byte that it comes from and the one behind the last. A byte of what
        was changed comes from all that was changed together.

    Example:
    >>> text, sources = aligned("Ｅb".encode(), Normalizer(True, "nfkc"))
    >>> text, sources.tolist()
    (b'eb', [[0, 3], [3, 4]])
    """
    code_points, begins = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
    characters = tf.strings.unicode_encode(code_points[:, tf.newaxis], "UTF-8")
    bounds = np.append(begins.numpy(), len(text))
    sources = _of_characters(
        [text[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)],
        characters.numpy().tolist(),
    )
    valid = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8")
    form = normalizer.normalization
    if form != "none":
        sources = _through(sources, _of_normal_form(valid, form))
    if normalizer.lowercase:
        composed = Normalizer(normalization=form)(valid)
        characters = tf.strings.unicode_split(composed, "UTF-8")  # [C]
        # What a letter stands beside decides its form but not its length.
        lowered = Normalizer(lowercase=True)(characters)
        changed = _of_characters(
            characters.numpy().tolist(), lowered.numpy().tolist()
        )
        sources = _through(sources, changed)
    return normalizer(valid).numpy(), sources


def _of_characters(before: list[bytes], after: list[bytes]) -> np.ndarray:
    """Where the bytes of characters come from that are changed one by one."""
    sources: list[tuple[int, int]] = []
    begin = 0
    for old, new in zip(before, after, strict=True):
        end = begin + len(old)
        if old == new:
            sources += [(byte, byte + 1) for byte in range(begin, end)]
        else:
            sources += [(begin, end)] * len(new)
        begin = end
    return np.array(sources, np.int64).reshape(-1, 2)  # [N,2]


def _of_normal_form(text: tf.Tensor, form: str) -> np.ndarray:
    """Where the bytes of a text in a normal form come from."""
    # It takes a second to import.
    import tensorflow_text

    normal, offsets = tensorflow_text.normalize_utf8_with_offsets_map(
        text[tf.newaxis], form.upper()
    )
    places = tf.range(tf.strings.length(normal)[0] + 1, dtype=tf.int64)
    sources = tensorflow_text.find_source_offsets(offsets, places[tf.newaxis])
    sources = sources[0].numpy()  # [N+1]
    # Behind the first byte of what was changed all have the change's end.
    begins = sources[:-1] < sources[1:]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
    return np.stack([sources[first], sources[first + 1]], axis=1)  # [N,2]


def _through(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """The sources of a text that was made of a text that was made."""
    return np.stack(
        [earlier[later[:, 0], 0], earlier[later[:, 1] - 1, 1]], axis=1
    )
