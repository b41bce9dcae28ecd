"""Subwords by SentencePiece, with bytes for what has no piece.

Axes: B batch, (T) tokens of a row, ragged, L lines, S segments of lines,
V vocabulary.
"""

import base64
import io
import re
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
import sentencepiece
import tensorflow as tf

from tflm.tokenizers.line_sample import sample_lines
from tflm.tokenizers.normalizer import Normalizer
from tflm.tokenizers.tokenizer import Tokenizer

MODEL_TYPES = ("unigram", "bpe")
DEFAULT_SIZE = 8_000
DEFAULT_SAMPLE = 10_000_000

_SPECIAL = 4
_BYTE_PIECES = 256
# SentencePiece's sign for a space, in its pieces and, by bad luck, in texts.
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


class SentencePiece(Tokenizer):
    r"""Pieces of words by a SentencePiece model, run by TF-Text in the graph.

    Characters without a piece are given byte by byte, so that nothing is
    unknown and the round trip is exact for every UTF-8 text. What is not
    UTF-8 is read as U+FFFD. A newline is one token, as is a tab, and no piece
    has one inside; U+2581, which stands for the space in SentencePiece's
    pieces, is given as its three bytes.

    An export needs `import tensorflow_text` where it is loaded.

    Args:
        model: A serialised SentencePiece model, with byte fallback, identity
            normalisation and the four special ids of `Tokenizer`.
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
        self._surfaces = _surfaces(model)  # [V]
        self._tokens = tf.function(
            self._tokenize,
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        # What stands behind a segment: nothing, a newline, or U+2581, which
        # SentencePiece would take for a space.
        in_bytes = [[], list(b"\n"), list(_SPACE.encode())]
        self._ends = tf.ragged.constant(
            [[_byte_id(self._surfaces, b) for b in end] for end in in_bytes],
            dtype=tf.int32,
        )

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
        parts = [part.replace(_SPACE, " ") for part in parts]
        if not parts:
            raise ValueError(
                "`texts` must hold a character to learn from. Received: an "
                "empty text"
            )
        model = _trained(parts, model_type, vocabulary_size)
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
        surfaces = tf.constant(self._surfaces)
        if isinstance(ids, tf.RaggedTensor):
            pieces = ids.with_flat_values(tf.gather(surfaces, ids.flat_values))
        else:
            pieces = tf.gather(surfaces, tf.convert_to_tensor(ids, tf.int32))
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
        # Line by line, which is twice as fast and gives the same: no piece
        # has a newline inside.
        lines = tf.strings.split(strings, "\n")  # [B,(L)]
        segments = tf.strings.split(lines.flat_values, _SPACE)  # [L,(S)]
        ids = processor.tokenize(segments.flat_values)  # [S,(T)]
        ends = _end_kinds(lines, segments)  # [S]
        ids = tf.concat([ids, tf.gather(self._ends, ends)], axis=1)
        rows = tf.gather(segments.row_splits, lines.row_splits)  # [B+1]
        return tf.RaggedTensor.from_row_splits(
            ids.flat_values, tf.gather(ids.row_splits, rows)
        )


def _end_kinds(lines: tf.RaggedTensor, segments: tf.RaggedTensor) -> tf.Tensor:
    """What ends each segment [S]: 0 nothing, 1 a newline, 2 U+2581."""
    kinds = tf.fill([segments.row_splits[-1]], 2)
    last_of_lines = segments.row_splits[1:, tf.newaxis] - 1
    kinds = tf.tensor_scatter_nd_update(
        kinds, last_of_lines, tf.ones_like(last_of_lines[:, 0], tf.int32)
    )
    last_of_rows = tf.gather(segments.row_splits, lines.row_splits[1:]) - 1
    return tf.tensor_scatter_nd_update(
        kinds,
        last_of_rows[:, tf.newaxis],
        tf.zeros_like(last_of_rows, tf.int32),
    )


def _trained(
    lines: list[str], model_type: str, vocabulary_size: int | None
) -> bytes:
    """The serialised model; with no size given, the largest up to 8,000."""
    written = io.BytesIO()
    # The one thing that it rewrites is what `tokenize` keeps from it. With no
    # rule at all it says on standard error, once for each graph, that it has
    # none.
    rules = tempfile.NamedTemporaryFile("w", suffix=".tsv")  # noqa: SIM115
    rules.write(f"{ord(_SPACE):X}\t20\n")
    rules.flush()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type=model_type,
            vocab_size=vocabulary_size or DEFAULT_SIZE,
            normalization_rule_tsv=rules.name,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            byte_fallback=True,
            max_sentence_length=2**30,
            num_threads=2,
            minloglevel=2,
            # The names have a space, which is `_SPACE` in what texts turn into.
            pad_id=Tokenizer.pad_id,
            unk_id=Tokenizer.unk_id,
            bos_id=Tokenizer.start_id,
            eos_id=Tokenizer.end_id,
            pad_piece="pad id",
            unk_piece="unk id",
            bos_piece="start id",
            eos_piece="end id",
        )
    except (RuntimeError, OSError) as error:
        said = str(error)
        most = re.search(r"too high .* value <= (\d+)", said)
        least = re.search(r"required_chars. \d+ vs (\d+)", said)
        if most and vocabulary_size is None:
            return _trained(lines, model_type, int(most[1]))
        if most:
            rule = f"at most {most[1]}, which is all that the text allows"
        elif least:
            rule = f"at least {least[1]}, for the bytes and characters"
        else:
            raise ValueError(
                "`texts` must be text that SentencePiece can learn from. "
                f"Received: {len(lines)} lines, {said.splitlines()[-1]}"
            ) from None
        raise ValueError(
            f"`vocabulary_size` must be {rule}. "
            f"Received: vocabulary_size={vocabulary_size or DEFAULT_SIZE}"
        ) from None
    finally:
        rules.close()
    return written.getvalue()


def _surfaces(model: bytes) -> np.ndarray:
    """The bytes of each id's text, object [V]."""
    processor = sentencepiece.SentencePieceProcessor()
    processor.load_from_serialized_proto(model)
    size = processor.get_piece_size()
    special = (
        processor.pad_id(),
        processor.unk_id(),
        processor.bos_id(),
        processor.eos_id(),
    )
    in_bytes = [i for i in range(size) if processor.is_byte(i)]
    if special != tuple(range(_SPECIAL)) or len(in_bytes) != _BYTE_PIECES:
        raise ValueError(
            "`model` must have byte fallback and the ids 0 to 3 for padding, "
            f"unknown, start and end. Received: {len(in_bytes)} bytes, "
            f"ids {special}"
        )
    pieces = [
        processor.id_to_piece(i).replace(_SPACE, " ") for i in range(size)
    ]
    surfaces = [piece.encode() for piece in pieces]
    for number in in_bytes:
        surfaces[number] = bytes([int(pieces[number][3:-1], 16)])
    surfaces[:_SPECIAL] = [b"", "\N{REPLACEMENT CHARACTER}".encode(), b"", b""]
    return np.array(surfaces, object)


def _byte_id(surfaces: np.ndarray, byte: int) -> int:
    """The id of a byte's own piece: the first one with that text."""
    return surfaces.tolist().index(bytes([byte]))
