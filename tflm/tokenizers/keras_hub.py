"""KerasHub's tokenizers behind the interface of every other kind.

Axes: B batch, (T) tokens of a row, ragged.
"""

import base64
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tflm import checked
from tflm.tokenizers import keras_hub_pieces
from tflm.tokenizers.tokenizer import Tokenizer

_SPECIAL = 4
_ENDS_IN_WHITE_SPACE = r"(?s).*[ \t\n\v\f\r]"

# What the copy of a tokenizer has in the place of its own: nothing is padded,
# cut or added, and the names of special tokens are text like any other.
_PLAIN: dict[str, Any] = {
    "sequence_length": None,
    "add_bos": False,
    "add_eos": False,
    "unsplittable_tokens": [],
    "special_tokens_in_strings": False,
}
# What decides no id.
_IDLE = {"name", "trainable", "dtype", "config_file", *_PLAIN}
# What the assets fill in, so that no configuration names a file to read.
_FILLED = {"vocabulary", "merges", "proto"}
# More bytes than a text has.
_ALL = 2**31 - 1


class KerasHubTokenizer(Tokenizer, tf.__internal__.tracking.AutoTrackable):
    """A trained tokenizer of KerasHub (`keras_nlp`), used as any other.

    It works on a copy of its own. Each piece that text can turn into has an
    id from 4 on, in KerasHub's order. KerasHub's special tokens have no ids
    besides: padding, unknown, start and end are the first four here as
    everywhere, and their names in a text are ordinary text.

    The round trip is exact

    - for `BytePairTokenizer`: for text of known bytes without U+0000 and
      U+096C, which KerasHub loses;
    - for `ByteTokenizer(lowercase=False)`: for every string;
    - for `SentencePieceTokenizer`: for text that its normalisation leaves as
      it is and whose pieces are known;
    - for `WordPieceTokenizer`: for known words with one space between them.
      White space is lost, so bits for each byte of the text are too low.

    An export needs `import tensorflow_text` where it is loaded, except with
    a `ByteTokenizer` that neither folds case nor normalises.

    Args:
        tokenizer: One of the four above, or a model's tokenizer that is one,
            such as `GPT2Tokenizer`. Its sequence length and the start and
            end that it adds are left aside.

    Raises:
        TypeError: If it is no tokenizer of KerasHub's.
        ValueError: If it is of another kind, or KerasHub's own files do not
            keep its vocabulary.

    Example:
    >>> import keras_nlp
    >>> pieces = ["[PAD]", "[UNK]", "the", "qu", "##ick", "fox"]
    >>> tokenizer = KerasHubTokenizer(
    ...     keras_nlp.tokenizers.WordPieceTokenizer(vocabulary=pieces)
    ... )
    >>> ids = tokenizer.tokenize(tf.constant(["the quick dog", ""]))
    >>> ids.to_list()
    [[4, 5, 6, 1], []]
    >>> tokenizer.detokenize(ids).numpy()[0].decode()
    'the quick [UNK]'
    """

    kind = "keras_hub"
    op_libraries = ("tensorflow_text",)

    def __init__(self, tokenizer: Any):
        pieces = keras_hub_pieces.kind_of(tokenizer)
        tokenizer.vocabulary_size()  # raises where there is no vocabulary yet
        self.tokenizer = _restored(**_described(tokenizer))
        self._pieces = pieces(self.tokenizer)
        texts = self._pieces.texts()
        if texts != pieces(tokenizer).texts():
            raise ValueError(
                "`tokenizer` must have a vocabulary that its own `save_assets` "
                "keeps: pieces that end in white space are lost. "
                f"Received: tokenizer={type(tokenizer).__name__}"
            )
        self._surfaces = np.array(
            [b"", self._pieces.unknown, b"", b"", *texts.values()], object
        )
        self._sizes = np.array(
            [0] * _SPECIAL + [self._pieces.size(t) for t in texts.values()]
        )
        self._ids = _id_of_number(list(texts))
        self._tokens = tf.function(
            self._tokenize,
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        self._lost = tf.function(
            self._pieces.unknown_bytes,
            input_signature=[
                tf.TensorSpec([None], tf.string),
                tf.TensorSpec([None], tf.int64),
            ],
            autograph=False,
        )
        word, spaced = self._tokens(tf.constant(["a", "a "])).to_list()
        joined = b"".join(self._surfaces[word])
        # Whether a text's first piece brings a space that the text has not,
        # and whether a space at the text's end is lost.
        self._leads = joined.startswith(b" ")
        self._trims = word == spaced

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, the four special ones included."""
        return len(self._surfaces)

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Strings, a scalar or [B], to int32 ids, [T] or ragged [B,(T)]."""
        strings = tf.convert_to_tensor(strings, tf.string)
        if strings.shape.rank == 0:
            return self._tokens(strings[tf.newaxis])[0]
        return self._tokens(strings)

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Ids, [T], [B,T] or ragged [B,(T)], to strings, a scalar or [B]."""
        text = self._join(ids)
        return _without_first_space(text, self._leads)

    def continuation(
        self, ids: tf.RaggedTensor | tf.Tensor, follows: tf.Tensor
    ) -> tf.Tensor:
        """The text of ids behind other text: a word begins with its space."""
        apart = follows == ""
        if self._trims:
            apart |= tf.strings.regex_full_match(follows, _ENDS_IN_WHITE_SPACE)
        return _without_first_space(self._join(ids), apart & self._leads)

    def unknown_bytes(self, strings: tf.Tensor) -> tf.Tensor:
        """UTF-8 bytes of the unknown pieces, int64 like `strings`."""
        strings = tf.convert_to_tensor(strings, tf.string)
        if strings.shape.rank == 0:
            return self.unknown_bytes(strings[tf.newaxis])[0]
        sizes = _look_up(self._sizes, self._tokens(strings))  # [B,(T)]
        return self._lost(strings, tf.reduce_sum(sizes, axis=1))

    def get_config(self) -> dict[str, Any]:
        """KerasHub's class, its options, and the content of its files."""
        return _described(self.tokenizer)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "KerasHubTokenizer":
        """The tokenizer that `get_config` described.

        Raises:
            ValueError: If KerasHub has no such tokenizer.
        """
        return cls(_restored(**config))

    def _tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor:
        # Some kinds fail where no row has a token: one more row has some.
        rows = tf.concat([strings, ["a"]], axis=0)
        tokens = self._pieces.tokenize(rows)[:-1]
        places = tf.clip_by_value(tokens + 1, 0, len(self._ids) - 1)
        return _look_up(self._ids, places)

    def _join(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        pieces = _look_up(self._surfaces, ids)
        return tf.strings.reduce_join(pieces, axis=-1)


def _id_of_number(numbers: list[int]) -> np.ndarray:
    """Ids by KerasHub's number + 1; the first and the last are unknown.

    The first one is for -1, which stands for a byte that has no piece.
    """
    table = np.full(max(numbers) + 3, Tokenizer.unk_id, np.int32)
    table[np.array(numbers) + 1] = _SPECIAL + np.arange(len(numbers))
    return table


def _look_up(table: np.ndarray, values: tf.RaggedTensor | tf.Tensor) -> Any:
    """The table's entries for values of any shape, ragged or not."""
    if isinstance(values, tf.RaggedTensor):
        return values.with_flat_values(_look_up(table, values.flat_values))
    return tf.gather(tf.constant(table), values)


def _without_first_space(text: tf.Tensor, where: Any) -> tf.Tensor:
    """Strings, a scalar or [B], without the space that they begin with."""
    begins = tf.strings.substr(text, 0, 1) == " "
    first = tf.cast(begins & where, tf.int32)
    return tf.strings.substr(text, first, tf.fill(tf.shape(first), _ALL))


def _described(tokenizer: Any) -> dict[str, Any]:
    """A tokenizer of KerasHub as JSON values: class, options and files."""
    options = {
        name: value
        for name, value in tokenizer.get_config().items()
        if name not in _IDLE
    }
    # KerasHub's own configuration forgets it.
    if hasattr(tokenizer, "split_on_cjk"):
        options["split_on_cjk"] = tokenizer.split_on_cjk
    assets = {}
    if tokenizer.file_assets:
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_assets(folder)
            for name in tokenizer.file_assets:
                assets[name] = _as_json((Path(folder) / name).read_bytes())
    return {
        "tokenizer": type(tokenizer).__name__,
        "options": options,
        "assets": assets,
    }


def _restored(
    tokenizer: str, options: dict[str, Any], assets: dict[str, Any]
) -> Any:
    """A plain copy of the tokenizer that `_described` was given."""
    import keras_nlp

    # Nothing but KerasHub's own tokenizers is looked up by name.
    known = {
        name: value
        for name, value in vars(keras_nlp.tokenizers).items()
        if name.endswith("Tokenizer")
    }
    if tokenizer not in known:
        raise ValueError(
            checked.unknown("KerasHub tokenizer", tokenizer, known)
        )
    given = {n: None if n in _FILLED else v for n, v in options.items()}
    copy = known[tokenizer].from_config({**given, "dtype": "int32"})
    for name, value in _PLAIN.items():
        if hasattr(copy, name):
            setattr(copy, name, value)
    if copy.file_assets:
        with tempfile.TemporaryDirectory() as folder:
            for name in copy.file_assets:
                (Path(folder) / name).write_bytes(_from_json(assets[name]))
            with warnings.catch_warnings():
                # KerasHub leaves a SentencePiece file open.
                warnings.simplefilter("ignore", ResourceWarning)
                copy.load_assets(folder)
    return copy


def _as_json(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _from_json(content: dict[str, str]) -> bytes:
    if "text" in content:
        return content["text"].encode()
    return base64.b64decode(content["base64"])
