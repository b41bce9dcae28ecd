"""Subwords by WordPiece: words, cut into the longest pieces that there are.

Axes: B batch, (T) tokens of a row, ragged, L lines, N words of all rows,
P pieces of a word, U distinct words, V vocabulary.
"""

import itertools
from collections import Counter
from collections.abc import Iterable

import tensorflow as tf

from tflm.tokenizers.line_sample import sample_lines
from tflm.tokenizers.normalizer import Normalizer
from tflm.tokenizers.splitting import JOINER
from tflm.tokenizers.word_piece_learner import learn
from tflm.tokenizers.words import Words

DEFAULT_SIZE = 8_000
DEFAULT_SAMPLE = 10_000_000
_SPECIAL = 4
_NEWLINE = "\n"
_NUL = b"\0"  # ends a piece in TF-Text: words that have it are unknown
_UNKNOWN = "unknown "
_MOST_WORDS = 100_000  # distinct words to learn from: some 10 seconds
_COVERAGE = 0.9995  # share of the text whose characters have to be known
_LONGEST_WORD = 100  # bytes; longer ones are unknown
_TOO_LONG = "x" * (_LONGEST_WORD + 1)


class WordPiece(Words):
    r"""Pieces of words, the longest first, run by TF-Text in the graph.

    Text is cut into words and newlines as by `Words`, and joined as there: so
    the round trip is exact for the same text, wherever every character is
    known. A word with a character that has no piece, or of more than 100
    bytes, is unknown as a whole.

    An export needs `import tensorflow_text` where it is loaded.

    Args:
        vocabulary: Sequence of distinct pieces; the first has id 4. A piece
            that goes on with a word has a space before it, where others
            write "##". The newline is one of them.
        lowercase: Whether text is turned to lower case first. Default False.
        unknown_word: The word that stands for unknown ones, in both
            directions. Default "<unk>".
        spaced: As for `Words`. Default False.
        normalization: str. See `Normalizer`. Default "none".

    Raises:
        ValueError: If a piece stands there twice or has white space in it.

    References: Schuster and Nakajima, "Japanese and Korean voice search",
    2012; Song et al., 2021, https://arxiv.org/abs/2012.15524.

    Example:
    >>> tokenizer = WordPiece(["\n", "sing", "s", " ing", " s"])
    >>> ids = tokenizer.tokenize(tf.constant(["sing sings\nsong"]))
    >>> ids.to_list()
    [[5, 5, 8, 4, 1]]
    >>> tokenizer.detokenize(ids).numpy()[0].decode()
    'sing sings\n<unk>'
    """

    kind = "word_piece"

    def __init__(
        self,
        vocabulary: Iterable[str],
        lowercase: bool = False,
        unknown_word: str = "<unk>",
        spaced: bool = False,
        normalization: str = "none",
    ):
        # It takes a second to import.
        import tensorflow_text

        super().__init__(
            vocabulary,
            lowercase,
            unknown_word,
            spaced,
            normalization=normalization,
        )
        self.op_libraries = ("tensorflow_text",)
        # Names that no word of a text can have, since they end in a space.
        names = ["pad ", _UNKNOWN, "start ", "end "]
        self._cutter = tensorflow_text.FastWordpieceTokenizer(
            [*names, *self.vocabulary],
            suffix_indicator=JOINER,
            max_bytes_per_word=_LONGEST_WORD,
            token_out_type=tf.int32,
            unknown_token=_UNKNOWN,
            no_pretokenization=True,
        )

    @classmethod
    # It takes a sample, and no splitter.
    def train(  # type: ignore[override]
        cls,
        texts: Iterable[str | bytes | tf.Tensor],
        vocabulary_size: int | None = None,
        min_count: int = 2,
        lowercase: bool = False,
        unknown_word: str = "<unk>",
        sample_characters: int = DEFAULT_SAMPLE,
        normalization: str = "none",
    ) -> "WordPiece":
        """Learns the pieces from counted words, as TF-Text's learner does.

        Of the characters, the rarest are left out where all of them would
        take more than half of the vocabulary, but never one that is needed
        for 99.95% of the text.

        Args:
            texts: Iterable or `tf.data.Dataset` of scalar strings.
            vocabulary_size: Optional int, the most ids to have, the four
                special ones included. Default None: 8,000.
            min_count: int. Pieces that end words fewer times are left out,
                single characters excepted. Default 2.
            lowercase: bool. As in the constructor.
            unknown_word: str. As in the constructor.
            sample_characters: int. Characters of the texts to learn from, see
                `sample_lines`; of their distinct words the 100,000 most
                frequent ones are taken. Default 10 million.
            normalization: str. As in the constructor.

        Returns:
            A `WordPiece`, the newline first.

        Raises:
            ValueError: If no word is left, or the characters alone are more
                than the vocabulary may have.
        """
        lines = sample_lines(texts, sample_characters)
        spaced = 2 * sum(line.endswith(" ") for line in lines) > len(lines)
        normalizer = Normalizer(lowercase, normalization)
        counts = _counted(lines, normalizer)
        counts.pop(normalizer.word(unknown_word), None)
        if not counts:
            raise ValueError(
                "`texts` must hold a word to learn from. Received: "
                f"{len(lines)} lines without one"
            )
        most = (vocabulary_size or DEFAULT_SIZE) - _SPECIAL - 1
        learnt = _learnt(counts, most, min_count)
        return cls(
            [_NEWLINE, *learnt], lowercase, unknown_word, spaced, normalization
        )

    def piece(self, id_: int) -> bytes:
        """The text of an id within its word, without a space before it."""
        return self._surfaces[id_].numpy()

    def _is_entry(self, word: str) -> bool:
        word = word.removeprefix(JOINER)
        return super()._is_entry(word) and _NUL not in word.encode()

    def _ids(self, words: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        pieces = self._pieces(words)  # [U,(P)]
        unknown = pieces[:, :1].flat_values == self.unk_id
        return pieces, self._lost_bytes(words, unknown)

    def _unknown(self, words: tf.Tensor) -> tf.Tensor:
        return self._pieces(words)[:, :1].flat_values == self.unk_id

    def _pieces(self, words: tf.Tensor) -> tf.RaggedTensor:
        """The pieces of words [U], [U,(P)]; there is always one."""
        # It might have pieces, but stands for all that have none.
        words = tf.where(words == self._unknown_word, _TOO_LONG, words)
        return self._cutter.tokenize(words)


def _counted(lines: list[str], normalizer: Normalizer) -> Counter[str]:
    # The same ops as in `tokenize`: Python's own lower() differs.
    normalized = normalizer(tf.constant(lines, tf.string)).numpy()
    words = (word for line in normalized for word in line.split())
    return Counter(word.decode() for word in words if _NUL not in word)


def _learnt(counts: Counter[str], most: int, min_count: int) -> list[str]:
    """At most that many pieces, the single characters first."""
    characters = _characters(counts, most)
    # In one order for equal counts, whatever the order of the text.
    known = sorted(
        (word for word in counts if characters.issuperset(word)),
        key=lambda word: (-counts[word], word),
    )
    words = {word: counts[word] for word in known[:_MOST_WORDS]}
    learnt = learn(words, most, min_count) if words else []
    alone = [*characters, *(JOINER + character for character in characters)]
    pieces = dict.fromkeys([*sorted(alone), *learnt])
    return list(pieces)[:most]


def _characters(counts: Counter[str], most: int) -> set[str]:
    """The characters that are pieces, each at two places of a word."""
    frequency: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            frequency[character] += count
    ordered = sorted(frequency, key=lambda c: (-frequency[c], c))
    covered = itertools.accumulate(frequency[c] for c in ordered)
    enough = _COVERAGE * frequency.total()
    needed = 1 + sum(share < enough for share in covered)
    if 2 * needed > most:
        raise ValueError(
            f"`vocabulary_size` must be at least {2 * needed + 5}, "
            "for the characters at the start of words and behind it. "
            f"Received: vocabulary_size={most + _SPECIAL + 1}"
        )
    return set(ordered[: max(needed, most // 4)])
