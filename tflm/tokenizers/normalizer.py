"""What is done to text before it is cut into tokens."""

import tensorflow as tf

from tflm import checked, config

_NUL = "\0"
# More bytes than a text has.
_ALL = 2**31 - 1


class Normalizer:
    """Unicode normal forms and lower case, in graphs and eagerly.

    Args:
        lowercase: Whether text is turned to lower case. Default False.
        normalization: str. "none", "nfc" or "nfkc"; it comes first.
            Default "none".

    Raises:
        ValueError: If the normal form is unknown.

    Example:
    >>> normalizer = Normalizer(lowercase=True, normalization="nfkc")
    >>> normalizer(tf.constant(["Ｅ\u0301"])).numpy()[0].decode()
    'é'
    """

    def __init__(self, lowercase: bool = False, normalization: str = "none"):
        if normalization not in config.NORMALIZATIONS:
            raise ValueError(
                checked.unknown(
                    "normalization", normalization, config.NORMALIZATIONS
                )
            )
        self.lowercase = lowercase
        self.normalization = normalization

    @property
    def op_libraries(self) -> tuple[str, ...]:
        """Normal forms are operations of TF-Text."""
        return () if self.normalization == "none" else ("tensorflow_text",)

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        """The strings, of any shape, as they are cut."""
        if self.normalization != "none":
            # It takes a second to import.
            import tensorflow_text

            # What is not UTF-8 would be refused.
            strings = tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8")
            strings = tensorflow_text.normalize_utf8(
                strings, self.normalization.upper()
            )
        return _lower(strings) if self.lowercase else strings

    def word(self, word: str) -> str:
        """A word as it is cut.

        >>> Normalizer(lowercase=True).word("<UNK>")
        '<unk>'
        """
        with tf.init_scope():
            return self(tf.constant(word)).numpy().decode()

    def get_config(self) -> dict[str, str]:
        """The normal form, where there is one, as a setting by name."""
        if self.normalization == "none":
            return {}
        return {"normalization": self.normalization}


def _lower(strings: tf.Tensor) -> tf.Tensor:
    # The op drops what stands behind U+0000, so it sees what is between.
    strings = tf.convert_to_tensor(strings, tf.string)
    parts = tf.strings.split(tf.reshape(strings, [-1]), _NUL)  # [N,(P)]
    lowered = tf.strings.lower(parts.flat_values, encoding="utf-8")
    joined = tf.strings.reduce_join(
        parts.with_flat_values(tf.constant(_NUL) + lowered), axis=-1
    )
    whole = tf.strings.substr(joined, 1, _ALL)  # without the first one
    return tf.ensure_shape(tf.reshape(whole, tf.shape(strings)), strings.shape)
