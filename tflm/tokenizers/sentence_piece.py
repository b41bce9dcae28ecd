"""Subwords by SentencePiece, with bytes for what has no piece.

Axes: B batch, (T) tokens of a row, ragged, L lines, N words of all lines,
U distinct words, S segments of these, V vocabulary.
"""

import base64
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tflm.tokenizers.line_sample import sample_lines
from tflm.tokenizers.normalizer import Normalizer
from tflm.tokenizers.sentence_piece_model import SPACE, surfaces, trained
from tflm.tokenizers.tokenizer import Tokenizer

MODEL_TYPES = ("unigram", "bpe")
DEFAULT_SAMPLE = 10_000_000


class SentencePiece(Tokenizer):
    r"""Pieces of words by a SentencePiece model, run by TF-Text in the graph.

    Characters without a piece are given byte by byte, so that nothing is
    unknown and the round trip is exact for every UTF-8 text. What is not
    UTF-8 is read as U+FFFD. A newline is one token, as is a tab, and no piece
    has one inside; U+2581, which stands for the space in SentencePiece's
    pieces, is given as its three bytes. A piece has a space at its start at
    the most, so that a word has the same tokens wherever it stands.

    An export needs `import tensorflow_text` where it is loaded.

    Args:
        model: A serialised SentencePiece model, with byte fallback, identity
            normalisation, the four special ids of `Tokenizer` and no space
            behind the first character of a piece.
        lowercase: Whether text is turned to lower case first. Default False.
        normalization: str. See `Normalizer`. Default "none".

    Raises:
        ValueError: If the model is of another form.

    References: Kudo and Richardson, 2018, https://arxiv.org/abs/1808.06226;
    Kudo, 2018, https://arxiv.org/abs/1804.10959 (unigram); Sennrich et al.,
    2016, https://arxiv.org/abs/1508.07909 (BPE).

    Example:
    >>> text = "the rose is red, the violet is blue\n" * 9
    >>> tokenizer = SentencePiece.train([text])
    >>> ids = tokenizer.tokenize(tf.constant(["the red rose", ""]))
    >>> ids[1].shape
    TensorShape([0])
    >>> tokenizer.detokenize(ids).numpy().tolist()
    [b'the red rose', b'']
    """

    kind = "sentence_piece"
    op_libraries = ("tensorflow_text",)

    def __init__(
        self,
        model: bytes,
        lowercase: bool = False,
        normalization: str = "none",
    ):
        self.model = model
        self.lowercase = lowercase
        self.normalizer = Normalizer(lowercase, normalization)
        self._surfaces = surfaces(model)  # [V]
        self._tokens = tf.function(
            self._tokenize,
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        texts = self._surfaces.tolist()
        self._newline = [texts.index(b"\n")]
        # SentencePiece would take it for a space.
        self._block = [texts.index(bytes([b])) for b in SPACE.encode()]

    @classmethod
    def train(
        cls,
        texts: Iterable[str | bytes | tf.Tensor],
        model_type: str = "unigram",
        vocabulary_size: int | None = None,
        sample_characters: int = DEFAULT_SAMPLE,
        lowercase: bool = False,
        normalization: str = "none",
    ) -> "SentencePiece":
        """Trains a model with the `sentencepiece` library.

        Args:
            texts: Iterable or `tf.data.Dataset` of scalar strings.
            model_type: "unigram" or "bpe".
            vocabulary_size: Optional int, the number of ids, with the four
                special ones and 256 bytes. Default None: 8,000, or as many
                as the texts allow.
            sample_characters: int. Characters of the texts to learn from, see
                `sample_lines`. Default 10 million.
            lowercase: bool. As in the constructor.
            normalization: str. As in the constructor.

        Returns:
            A `SentencePiece`.

        Raises:
            ValueError: If the texts do not allow so large a vocabulary, or
                need a larger one, or are empty.
        """
        lines = sample_lines(texts, sample_characters)
        # The same ops as in `tokenize`: Python's own lower() differs.
        normalized = Normalizer(lowercase, normalization)(
            tf.constant(lines, tf.string)
        )
        lines = [line.decode() for line in normalized.numpy()]
        # SentencePiece leaves out lines that have a tab inside.
        parts = [part for line in lines for part in line.split("\t") if part]
        # What stands for a space is not to be learnt as one.
        parts = [part.replace(SPACE, " ") for part in parts]
        if not parts:
            raise ValueError(
                "`texts` must hold a character to learn from. Received: an "
                "empty text"
            )
        model = trained(parts, model_type, vocabulary_size)
        return cls(model, lowercase, normalization)

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, the four special ones included."""
        return len(self._surfaces)

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Strings, a scalar or [B], to int32 ids, [T] or ragged [B,(T)]."""
        strings = tf.convert_to_tensor(strings, tf.string)
        if strings.shape.rank == 0:
            return self.tokenize(strings[tf.newaxis])[0]
        return self._tokens(strings)

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Ids, [T], [B,T] or ragged [B,(T)], to strings, a scalar or [B].

        A piece of a character is the bytes that it stands for.
        """
        texts = tf.constant(self._surfaces)
        if isinstance(ids, tf.RaggedTensor):
            pieces = ids.with_flat_values(tf.gather(texts, ids.flat_values))
        else:
            pieces = tf.gather(texts, tf.convert_to_tensor(ids, tf.int32))
        return tf.strings.reduce_join(pieces, axis=-1)

    def unknown_bytes(self, strings: tf.Tensor) -> tf.Tensor:
        """Zeros: what has no piece is given in bytes."""
        strings = tf.convert_to_tensor(strings, tf.string)
        return tf.zeros(tf.shape(strings), tf.int64)

    def get_config(self) -> dict[str, Any]:
        """The model, in base64, and whether text is turned to lower case."""
        return {
            "lowercase": self.lowercase,
            **self.normalizer.get_config(),
            "model": base64.b64encode(self.model).decode(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SentencePiece":
        """The tokenizer that `get_config` described."""
        model = base64.b64decode(config["model"])
        return cls(**{**config, "model": model})

    def _tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor:
        # It takes a second to import.
        import tensorflow_text

        # Made as a part of the graph: TensorFlow drops what was made outside
        # of graphs when a global seed is set.
        processor = tensorflow_text.SentencepieceTokenizer(self.model)
        strings = self.normalizer(strings)
        lines = tf.strings.split(strings, "\n")  # [B,(L)]
        words = tf.strings.split(lines.flat_values, " ")  # [L,(N)]
        # Most words stand there often: each is cut once, which is up to four
        # times as fast.
        distinct, places = tf.unique(_with_spaces(words))  # [U], [N]
        pieces = self._pieces(processor, distinct)  # [U,(T)]
        ids = _joined(tf.gather(pieces, places), words)  # [L,(T)]
        rows = _joined(_with_ends(ids, self._newline), lines)  # [B,(T)]
        return rows[:, :-1]  # A row's last line has no newline behind it.

    def _pieces(self, processor: Any, words: tf.Tensor) -> tf.RaggedTensor:
        """The ids of words [U], [U,(T)]."""
        # What is not UTF-8 becomes as many U+FFFD as in other kinds.
        words = tf.strings.unicode_transcode(words, "UTF-8", "UTF-8")
        segments = tf.strings.split(words, SPACE)  # [U,(S)]
        ids = processor.tokenize(segments.flat_values)  # [S,(T)]
        rows = _joined(_with_ends(ids, self._block), segments)  # [U,(T)]
        return rows[:, : -len(self._block)]


def _with_spaces(words: tf.RaggedTensor) -> tf.Tensor:
    """The words of lines [L,(N)], all but a line's first with a space."""
    flat = words.flat_values
    firsts = words.row_splits[:-1, tf.newaxis]
    first = tf.tensor_scatter_nd_update(
        tf.zeros_like(flat, tf.bool),
        firsts,
        tf.ones_like(firsts[:, 0], tf.bool),
    )
    return tf.where(first, flat, " " + flat)


def _with_ends(ids: tf.RaggedTensor, end: list[int]) -> tf.RaggedTensor:
    """Rows of ids, each with the same ids behind it."""
    ends = tf.tile(tf.constant([end]), [ids.nrows(), 1])
    return tf.concat([ids, ends], axis=1)


def _joined(ids: tf.RaggedTensor, parts: tf.RaggedTensor) -> tf.RaggedTensor:
    """The ids of rows from those of their parts, which `parts` divides."""
    splits = tf.gather(ids.row_splits, parts.row_splits)
    return tf.RaggedTensor.from_row_splits(ids.flat_values, splits)
