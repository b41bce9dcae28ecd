"""What the ids of KerasHub's tokenizers stand for, kind by kind.

Axes: B batch, N words of all rows.
"""

import abc
import re
from typing import Any

import tensorflow as tf

# Such as [PAD], <s>, <|endoftext|>. No text turns into these pieces: letters
# and the marks around them are taken apart before pieces are looked for.
_BRACKETED = re.compile(r"\[\S*[a-zA-Z0-9]\S*\]|<\S*[a-zA-Z0-9]\S*>")

# A model's tokenizer that changes one of these has ids of its own making.
_OWN = (
    "tokenize",
    "detokenize",
    "set_proto",
    "set_vocabulary",
    "set_vocabulary_and_merges",
    "_set_vocabulary_and_merges_tf",
)


class Pieces(abc.ABC):
    """The pieces of a tokenizer of KerasHub's; its methods are for graphs.

    Args:
        tokenizer: The tokenizer, with its vocabulary.
    """

    # What an unknown piece is detokenized as.
    unknown: bytes = "\N{REPLACEMENT CHARACTER}".encode()

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer

    @abc.abstractmethod
    def texts(self) -> dict[int, bytes]:
        """The text of each piece that text turns into, by KerasHub's id.

        Pieces for padding, unknown, start and end are left out. A piece that
        begins a word has a space before it.
        """

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """Strings [B] to KerasHub's ids, ragged [B,(T)]."""
        return self.tokenizer.tokenize(strings)

    def size(self, text: bytes) -> int:
        """The bytes of a text that a piece, as in `texts`, stands for."""
        return len(text)

    def unknown_bytes(self, strings: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """Bytes of the pieces that are unknown.

        Args:
            strings: Strings [B].
            known: int64[B], the bytes that the known pieces stand for.

        Returns:
            int64[B].
        """
        return tf.maximum(self._sizes(strings) - known, 0)

    def _sizes(self, strings: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.strings.length(strings), tf.int64)


class _Byte(Pieces):
    def texts(self) -> dict[int, bytes]:
        return {byte: bytes([byte]) for byte in range(256)}

    def unknown_bytes(self, strings: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(known)


class _BytePair(Pieces):
    def texts(self) -> dict[int, bytes]:
        byte_of = _byte_of_letter()
        pieces = sorted(self.tokenizer.vocabulary.items(), key=lambda p: p[1])
        return {
            number: bytes(byte_of[letter] for letter in piece)
            for piece, number in pieces
            if not _BRACKETED.fullmatch(piece) and set(piece) <= set(byte_of)
        }

    def _sizes(self, strings: tf.Tensor) -> tf.Tensor:
        return super()._sizes(strings) + int(self.tokenizer.add_prefix_space)


class _SentencePiece(Pieces):
    unknown = " \N{DOUBLE QUESTION MARK} ".encode()

    def __init__(self, tokenizer: Any):
        import sentencepiece

        super().__init__(tokenizer)
        self._model = sentencepiece.SentencePieceProcessor(
            model_proto=tokenizer.proto
        )

    def texts(self) -> dict[int, bytes]:
        model = self._model
        texts = {}
        for number in range(model.vocab_size()):
            piece = model.id_to_piece(number)
            if model.is_byte(number):  # such as <0x0A>
                texts[number] = bytes([int(piece[1:-1], 16)])
            elif not (
                model.is_control(number)
                or model.is_unknown(number)
                or model.is_unused(number)
            ):
                texts[number] = piece.replace("\u2581", " ").encode()
        return texts

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return self._in_graph().tokenize(strings)

    def unknown_bytes(self, strings: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        ids, starts, ends = self._in_graph().tokenize_with_offsets(strings)
        unknown = ids == self._model.unk_id()
        lost = tf.where(unknown, ends - starts, tf.zeros_like(starts))
        return tf.cast(tf.reduce_sum(lost, axis=1), tf.int64)

    def _in_graph(self) -> Any:
        """The model as a part of the graph that is being built.

        KerasHub's own is made outside of graphs, where its resource belongs
        to a kernel that TensorFlow drops when a global seed is set.
        """
        import tensorflow_text

        return tensorflow_text.SentencepieceTokenizer(
            model=self.tokenizer.proto
        )


class _WordPiece(Pieces):
    def __init__(self, tokenizer: Any):
        super().__init__(tokenizer)
        if not tokenizer.split:
            raise ValueError(
                "`tokenizer` must split text into words itself: make it with "
                "split=True. Received: tokenizer.split=False"
            )
        self.unknown = f" {tokenizer.oov_token}".encode()

    def texts(self) -> dict[int, bytes]:
        suffix, unknown = (
            self.tokenizer.suffix_indicator,
            self.tokenizer.oov_token,
        )
        return {
            number: piece.removeprefix(suffix).encode()
            if piece.startswith(suffix)
            else f" {piece}".encode()
            for number, piece in enumerate(self.tokenizer.get_vocabulary())
            if piece != unknown and not _BRACKETED.fullmatch(piece)
        }

    def size(self, text: bytes) -> int:
        return len(text.removeprefix(b" "))

    def _sizes(self, strings: tf.Tensor) -> tf.Tensor:
        """Of the text as its pieces show it: folded, without white space."""
        import tensorflow_text

        if self.tokenizer.strip_accents:
            strings = tensorflow_text.normalize_utf8(strings, "NFD")
            strings = tf.strings.regex_replace(strings, r"\p{Mn}", "")
        apart = tf.strings.regex_replace(strings, r"[\p{Cc}\p{Cf}]", " ")
        words = tf.strings.split(apart)
        flat = words.flat_values  # [N]
        if self.tokenizer.lowercase:
            flat = tensorflow_text.case_fold_utf8(flat)
        sizes = tf.cast(tf.strings.length(flat), tf.int64)
        return tf.reduce_sum(words.with_flat_values(sizes), axis=1)


KINDS: dict[str, type[Pieces]] = {
    "BytePairTokenizer": _BytePair,
    "ByteTokenizer": _Byte,
    "SentencePieceTokenizer": _SentencePiece,
    "WordPieceTokenizer": _WordPiece,
}


def kind_of(tokenizer: Any) -> type[Pieces]:
    """The kind of a tokenizer of KerasHub's.

    Raises:
        TypeError: If it is no tokenizer of KerasHub's.
        ValueError: If it is none of the kinds, or one with ids of its own.
    """
    import keras_nlp

    known = vars(keras_nlp.tokenizers)
    name = type(tokenizer).__name__
    if not isinstance(tokenizer, known["Tokenizer"]):
        raise TypeError(
            "`tokenizer` must be a tokenizer of `keras_nlp.tokenizers`. "
            f"Received: tokenizer={tokenizer!r} ({name})"
        )
    for base, kind in KINDS.items():
        same = all(
            getattr(type(tokenizer), method, None)
            is getattr(known[base], method, None)
            for method in _OWN
        )
        if isinstance(tokenizer, known[base]) and same:
            return kind
    raise ValueError(
        f"`tokenizer` must be one of {', '.join(KINDS)}, or a model's that "
        f"only adds special tokens to it. Received: tokenizer={name}"
    )


def _byte_of_letter() -> dict[str, int]:
    """The bytes behind the letters of byte pairs.

    Printing characters of Latin-1 stand for themselves, the other bytes for
    the characters from U+0100 on.

    Reference: Radford et al., "Language models are unsupervised multitask
    learners", 2019.
    """
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {chr(byte): byte for byte in shown}
    return letters | {chr(256 + n): byte for n, byte in enumerate(hidden)}
