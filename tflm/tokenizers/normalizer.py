"""What is done to text before it is cut into tokens."""

import tensorflow as tf

from tflm import config


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
                config.unknown(
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
        if self.lowercase:
            strings = tf.strings.lower(strings, encoding="utf-8")
        return strings

    def get_config(self) -> dict[str, str]:
        """The normal form, where there is one, as a setting by name."""
        if self.normalization == "none":
            return {}
        return {"normalization": self.normalization}
