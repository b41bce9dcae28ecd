"""Words: runs of anything but white space, and newlines.

Axes: B batch, (T) tokens of a row, ragged, L lines, (W) white-space words of a
line, ragged, (P) tokens of such a word, ragged, N tokens or words of all rows,
U distinct words.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tflm import checked, config
from tflm.tokenizers.normalizer import Normalizer
from tflm.tokenizers.splitting import JOINER, counts_of_tokens, cut, rows_of
from tflm.tokenizers.tokenizer import Tokenizer
from tflm.tokenizers.word_counts import counted
from tflm.tokenizers.word_table import WordTable

_SPECIAL = 4
_NEWLINE = "\n"
_ENDS_IN_WHITE_SPACE = r"(?s).*[ \t\n\v\f\r]"


class Words(Tokenizer):
    r"""One token for each word and for each newline, in TensorFlow's core ops.

    White space is ASCII white space, as in Python's `bytes.split`. The round
    trip is exact for text with known words and regular white space: either
    one space between words and none beside newlines, or, `spaced`, as in
    WikiText, one space before every word and every newline.

    The "unicode" splitter cuts what stands between white space further: into
    words of letters, marks and digits of any script, with apostrophes inside,
    into numbers with points and commas inside, and into single characters.
    White space that is not ASCII, as U+00A0 or U+3000, is such a character.
    What was cut off is told from what had a space before it (the vocabulary
    has `,` as `" ,"`), so that the round trip is as exact.

    Args:
        vocabulary: Sequence of distinct words; the first has id 4. The
            newline is one of them.
        lowercase: Whether text is turned to lower case first. Default False.
        unknown_word: The word that stands for all words not in the
            vocabulary, in both directions. Default "<unk>".
        spaced: Whether newlines and first words have a space before them.
            Default False.
        splitter: str. "white_space" or "unicode". Default "white_space".
        normalization: str. See `Normalizer`. Default "none".

    Raises:
        ValueError: If a word stands there twice or has white space in it.

    Example:
    >>> tokenizer = Words.train(["a rose is\na rose is\n"])
    >>> ids = tokenizer.tokenize(tf.constant(["is a\nlily ?"]))
    >>> ids.to_list()
    [[6, 5, 4, 1, 1]]
    >>> tokenizer.detokenize(ids).numpy()[0].decode()
    'is a\n<unk> <unk>'
    """

    kind = "words"

    def __init__(
        self,
        vocabulary: Iterable[str],
        lowercase: bool = False,
        unknown_word: str = "<unk>",
        spaced: bool = False,
        splitter: str = "white_space",
        normalization: str = "none",
    ):
        self.vocabulary = tuple(vocabulary)
        self.lowercase = lowercase
        self.unknown_word = unknown_word
        self.spaced = spaced
        self.splitter = splitter
        self.normalizer = Normalizer(lowercase, normalization)
        self.op_libraries = self.normalizer.op_libraries
        self._check()
        self.newline_id = _SPECIAL + self.vocabulary.index(_NEWLINE)
        words = ["", unknown_word, "", "", *self.vocabulary]
        # What stands for unknown words is cut from texts in their form.
        self._unknown_word = self.normalizer.word(unknown_word)
        read = ["", self._unknown_word, *words[2:]]
        self._table = WordTable(tf.constant([word.encode() for word in read]))
        # Whether a token begins a word, and its text without the joiner.
        self._begins = tf.constant([word[:1] != JOINER for word in words])
        surfaces = [word.removeprefix(JOINER) for word in words]
        self._surfaces = tf.constant([text.encode() for text in surfaces])

    @classmethod
    def train(
        cls,
        texts: Iterable[str | bytes | tf.Tensor],
        vocabulary_size: int | None = None,
        min_count: int = 2,
        lowercase: bool = False,
        unknown_word: str = "<unk>",
        splitter: str = "white_space",
        normalization: str = "none",
    ) -> "Words":
        """Collects the words of texts, the most frequent first.

        Args:
            texts: Iterable or `tf.data.Dataset` of scalar strings.
            vocabulary_size: Optional int, the most ids to have, the four
                special ones included. The rarest words are left out.
            min_count: int. Words that occur fewer times are left out, so
                that the model learns what an unknown word is like. Default 2.
            lowercase: bool. As in the constructor.
            unknown_word: str. As in the constructor.
            splitter: str. As in the constructor.
            normalization: str. As in the constructor.

        Returns:
            A `Words`. Equal counts are ordered alphabetically. It is `spaced`
            if most newlines of the texts have a space before them.

        Raises:
            ValueError: If no word is left.
        """
        normalizer = Normalizer(lowercase, normalization)
        counts, newlines, spaced = counted(texts, normalizer)
        unknown = normalizer.word(unknown_word)
        if splitter == "unicode":
            counts = counts_of_tokens(counts, unknown)
        counts.pop(unknown.encode(), None)
        kept = [word for word in counts if counts[word] >= min_count]
        if not kept:
            raise ValueError(
                "`texts` must hold a word that occurs at least `min_count` "
                f"times. Received: {len(counts)} different words, "
                f"min_count={min_count}"
            )
        kept.sort(key=lambda word: (-counts[word], word))
        if vocabulary_size is not None:
            kept = kept[: max(vocabulary_size - _SPECIAL - 1, 0)]
        # The newline is there however rare it is.
        counts[b"\n"] = newlines
        kept = sorted([*kept, b"\n"], key=lambda word: (-counts[word], word))
        # What is not UTF-8 is left to the unknown.
        decoded = [word.decode(errors="replace") for word in kept]
        whole = [
            word
            for word, raw in zip(decoded, kept, strict=True)
            if word.encode() == raw
        ]
        return cls(
            whole,
            lowercase,
            unknown_word,
            2 * spaced > newlines,
            splitter,
            normalization,
        )

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, the four special ones included."""
        return _SPECIAL + len(self.vocabulary)

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Strings, a scalar or [B], to int32 ids, [T] or ragged [B,(T)]."""
        strings = tf.convert_to_tensor(strings, tf.string)
        if strings.shape.rank == 0:
            return self.tokenize(strings[tf.newaxis])[0]
        words, rows = self._words(strings)
        return self._with_newlines(self._look_up(words)[0], rows)

    def tokenize_and_count(
        self, strings: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """The ids of strings [B], and the bytes of all unknown words."""
        words, rows = self._words(strings)
        ids, lost = self._look_up(words)
        return self._with_newlines(ids, rows), tf.reduce_sum(lost)

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Ids, [T], [B,T] or ragged [B,(T)], to strings, a scalar or [B]."""
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.convert_to_tensor(ids, tf.int32)
            if ids.shape.rank == 1:
                return self.detokenize(ids[tf.newaxis])[0]
            ids = tf.RaggedTensor.from_tensor(ids)
        return self._join(ids, tf.fill([ids.nrows()], self.spaced))

    def continuation(
        self, ids: tf.RaggedTensor | tf.Tensor, follows: tf.Tensor
    ) -> tf.Tensor:
        """The text of ids behind other text: a word begins with its space."""
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.RaggedTensor.from_tensor(ids)
        apart = tf.strings.regex_full_match(follows, _ENDS_IN_WHITE_SPACE)
        begins = self.spaced & (follows == "")
        return self._join(ids, begins | ((follows != "") & ~apart))

    def unknown_bytes(self, strings: tf.Tensor) -> tf.Tensor:
        """UTF-8 bytes of the unknown words, int64 like `strings`."""
        strings = tf.convert_to_tensor(strings, tf.string)
        if strings.shape.rank == 0:
            return self.unknown_bytes(strings[tf.newaxis])[0]
        words, rows = self._words(strings)
        _, lost = self._look_up(words)
        of_lines = tf.reduce_sum(words.with_flat_values(lost), axis=1)  # [L]
        lines = tf.RaggedTensor.from_row_splits(of_lines, rows)
        return tf.reduce_sum(lines, axis=1)

    def unknown_pieces(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """The words of each text [B] that are unknown, [B,(U)]."""
        words = self.split(tf.convert_to_tensor(strings, tf.string))  # [B,(T)]
        flat = words.flat_values  # [N]
        unknown = self._unknown(flat) & (flat != self._unknown_word)
        shown = tf.strings.regex_replace(flat, f"^{JOINER}", "")
        return tf.ragged.boolean_mask(
            words.with_flat_values(shown), words.with_flat_values(unknown)
        )

    def get_config(self) -> dict[str, Any]:
        """The vocabulary and how text is cut and joined."""
        default = self.splitter == config.SPLITTERS[0]
        splitter = {} if default else {"splitter": self.splitter}
        return {
            "lowercase": self.lowercase,
            "unknown_word": self.unknown_word,
            "spaced": self.spaced,
            **splitter,
            **self.normalizer.get_config(),
            "vocabulary": list(self.vocabulary),
        }

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """Cuts strings into the words that are looked up, without newlines.

        Args:
            strings: Strings [B].

        Returns:
            The words [B,(T)], those cut off from what stands before them with
            `JOINER` before them.
        """
        words = tf.strings.split(self.normalizer(strings))  # [B,(W)]
        if self.splitter == "white_space":
            return words
        return rows_of(words, cut(words.flat_values, self._unknown_word))

    def _check(self) -> None:
        if self.splitter not in config.SPLITTERS:
            raise ValueError(
                checked.unknown("splitter", self.splitter, config.SPLITTERS)
            )
        for word in self.vocabulary:
            if word != _NEWLINE and not self._is_entry(word):
                raise ValueError(
                    "`vocabulary` must hold words without white space, and the "
                    f"newline. Received: {word!r}"
                )
        if len(set(self.vocabulary)) != len(self.vocabulary):
            twice = Counter(self.vocabulary).most_common(1)[0][0]
            raise ValueError(
                "`vocabulary` must hold each word once. "
                f"Received twice: {twice!r}"
            )
        if _NEWLINE not in self.vocabulary:
            raise ValueError(
                "`vocabulary` must hold the newline. "
                f"Received: {len(self.vocabulary)} words without it"
            )

    def _is_entry(self, word: str) -> bool:
        if self.splitter == "unicode":
            word = word.removeprefix(JOINER)
        return word.encode().split() == [word.encode()]

    def _words(self, strings: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """The words of all lines [L,(W)], and where each row's lines start."""
        lines = tf.strings.split(self.normalizer(strings), _NEWLINE)  # [B,(L)]
        return tf.strings.split(lines.flat_values), lines.row_splits

    def _look_up(
        self, words: tf.RaggedTensor
    ) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """The ids of the words of lines [L,(W)], and their bytes lost [N]."""
        # Most words stand there often: each is cut and looked up once.
        distinct, places = tf.unique(words.flat_values)
        ids, lost = self._ids(distinct)
        ids, lost = tf.gather(ids, places), tf.gather(lost, places)
        return rows_of(words, ids), lost

    def _ids(self, words: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """The ids of words [U], [U,(P)], and their bytes lost, int64 [U]."""
        if self.splitter == "white_space":
            tokens = tf.RaggedTensor.from_uniform_row_length(words, 1)
        else:
            tokens = cut(words, self._unknown_word)
        ids = self._table.ids(tokens.flat_values)
        lost = self._lost_bytes(tokens.flat_values, ids == self.unk_id)
        of_words = tf.reduce_sum(tokens.with_flat_values(lost), axis=1)
        return tokens.with_flat_values(ids), of_words

    def _unknown(self, words: tf.Tensor) -> tf.Tensor:
        """Which of the words [N] that `split` gives have no id, bool [N]."""
        return self._table.ids(words) == self.unk_id

    def _with_newlines(
        self, ids: tf.RaggedTensor, rows: tf.Tensor
    ) -> tf.RaggedTensor:
        """The ids [B,(T)] of rows from those of their lines, [L,(T)]."""
        ends = tf.fill([ids.nrows(), 1], self.newline_id)
        lines = tf.concat([ids, ends], axis=1)  # [L,(T+1)]
        starts = tf.gather(lines.row_splits, rows)
        joined = tf.RaggedTensor.from_row_splits(lines.flat_values, starts)
        return joined[:, :-1]  # A row's last line has no newline behind it.

    def _lost_bytes(self, words: tf.Tensor, unknown: tf.Tensor) -> tf.Tensor:
        """The bytes of words [N] that are unknown, int64 [N]."""
        unknown &= words != self._unknown_word
        lengths = tf.cast(tf.strings.length(words), tf.int64)
        if self.splitter == "unicode":  # a joiner is not in the text
            joined = tf.strings.substr(words, 0, 1) == JOINER
            lengths -= tf.cast(joined, tf.int64)
        return tf.where(unknown, lengths, 0)

    def _begin_words(self, ids: tf.Tensor) -> tf.Tensor:
        """Which of the ids [N] begin a word or a line, bool [N]."""
        return tf.gather(self._begins, ids)

    def _join(self, ids: tf.RaggedTensor, begins: tf.Tensor) -> tf.Tensor:
        """Joins words; `begins` [B]: whether a row's first has a space."""
        flat = ids.flat_values  # [N]
        rows = ids.value_rowids()
        word = (flat != self.newline_id) | self.spaced
        word &= self._begin_words(flat)
        after = tf.concat([[self.newline_id], flat[:-1]], axis=0)
        space = word & ((after != self.newline_id) | self.spaced)
        first = tf.concat([[-1], tf.cast(rows[:-1], tf.int32)], axis=0)
        first = first[: tf.size(flat)] != tf.cast(rows, tf.int32)
        space = tf.where(first, word & tf.gather(begins, rows), space)
        # Padding, start and end are nothing, and have no space before them.
        space &= (flat >= _SPECIAL) | (flat == self.unk_id)
        pieces = tf.gather(self._surfaces, flat)
        pieces = tf.where(space, " " + pieces, pieces)
        return tf.strings.reduce_join(ids.with_flat_values(pieces), axis=-1)
