"""What reads text with a model, in pieces that memory holds.

Axes: B batch, (T) tokens of a row, ragged, C tokens of a chunk, V vocabulary.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm.models import LanguageModel, State
from tflm.tokenizers import Tokenizer

# Tokens of a prompt read at once: long prompts need no more memory than this.
CHUNK = 256
TEXTS = tf.TensorSpec([None], tf.string)


class traced_once(functools.cached_property):  # noqa: N801
    """A trace that a reader has from the one that it reads as, if that has it.

    Example:
    >>> class Counter:
    ...     def __init__(self, reads_as=None):
    ...         self._reads_as = reads_as
    ...
    ...     @traced_once
    ...     def made(self):
    ...         return object()
    >>> first = Counter()
    >>> Counter(reads_as=first).made is first.made, Counter().made is first.made
    (True, False)
    """

    def __get__(self, reader: Any, kind: Any = None) -> Any:
        other, name = getattr(reader, "_reads_as", None), str(self.attrname)
        if hasattr(type(other), name):
            return getattr(other, name)
        return super().__get__(reader, kind)


class Reader(tf.Module):
    """A model and its tokenizer.

    It computes in float32 or, with its weights too, in bfloat16; the state is
    float32 in any case. A model of another precision is copied for that, so
    that its later training is not seen.

    Args:
        model: A `LanguageModel`.
        tokenizer: The `Tokenizer` of the model's ids.
        allow_end: bool. False where training had no END target: then END is
            never generated and never among the likeliest. Default True.
        prompt_bytes_limit: Optional int, the most bytes of a prompt. Default
            None: any number.
        precision: "float32" or "bfloat16". Default "float32".
        reads_as: Optional `Reader` of another kind, made of the same: what the
            model and the tokenizer compute is traced once, and stands once in
            an export.

    Raises:
        ValueError: If model and tokenizer differ in the number of ids.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        allow_end: bool = True,
        prompt_bytes_limit: int | None = None,
        precision: str = "float32",
        reads_as: "Reader | None" = None,
    ):
        super().__init__()
        if model.vocabulary_size != tokenizer.vocabulary_size:
            raise ValueError(
                "`tokenizer` must be the one that the model was trained with: "
                "it must have as many ids. Received: "
                f"tokenizer.vocabulary_size={tokenizer.vocabulary_size}, "
                f"model.vocabulary_size={model.vocabulary_size}"
            )
        self.model = in_precision(model, precision)
        self.tokenizer = tokenizer
        self.allow_end = allow_end
        self.prompt_bytes_limit = prompt_bytes_limit
        self._reads_as = reads_as

    @traced_once
    def read_chunk(self) -> Callable[..., State]:
        """The state after ids [B,C] where `mask` [B,C], for a graph."""
        return self._traced_reading(self._read_chunk, [None, None])

    @traced_once
    def read_position(self) -> Callable[..., tuple[tf.Tensor, State]]:
        """Logits [B,V] and the state after one id a row, for a graph.

        It takes ids [B], `mask` [B], whose rows are read, and the state.
        """
        return self._traced_reading(self._read_position, [None])

    @traced_once
    def tokenize(self) -> Callable[[tf.Tensor], tf.RaggedTensor]:
        """The ids of texts [B], ragged [B,(T)], for a graph."""
        return traced(self.tokenizer.tokenize, TEXTS)

    @traced_once
    def text_behind(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The text of single tokens [B] behind a text [B]; END's is empty."""

        def text_behind(ids: tf.Tensor, follows: tf.Tensor) -> tf.Tensor:
            text = self.tokenizer.continuation(ids[:, tf.newaxis], follows)
            return tf.where(ids == self.tokenizer.end_id, "", text)

        return traced(text_behind, tf.TensorSpec([None], tf.int32), TEXTS)

    def _traced_reading(
        self, function: Callable, shape: list[None]
    ) -> Callable:
        ids = tf.TensorSpec(shape, tf.int32)
        mask = tf.TensorSpec(shape, tf.bool)
        states = any_rows(self.model.get_initial_state(1))
        return traced(function, ids, mask, states)

    def _prompt_ids(self, prompt: tf.Tensor) -> tf.RaggedTensor:
        """START and the ids of prompts [B], as ids [B,(T)]."""
        start = tf.fill([tf.size(prompt), 1], self.tokenizer.start_id)
        return tf.concat([start, self._ids(prompt)], axis=1)

    def _ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        """The ids of prompts [B] as they are read, [B,(T)]."""
        return self.tokenize(self._within_limit(text))

    def _within_limit(self, text: tf.Tensor) -> tf.Tensor:
        if self.prompt_bytes_limit is None:
            return text
        longest = tf.reduce_max(
            tf.concat([[0], tf.strings.length(text)], axis=0)
        )
        return checked(
            text,
            longest <= self.prompt_bytes_limit,
            f"a prompt must have at most {self.prompt_bytes_limit} bytes. "
            "Received: bytes=",
            longest,
        )

    def _read(
        self, ids: tf.RaggedTensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Reads all but each row's last id, which is returned."""
        padded = ids.to_tensor()  # [B,T]
        lengths = tf.cast(ids.row_lengths(), tf.int32)[:, tf.newaxis] - 1
        is_last = tf.range(tf.shape(padded)[1]) == lengths  # [B,T]
        # The only one of a row; 0 for a row without any.
        last = tf.reduce_sum(tf.where(is_last, padded, 0), axis=1)  # [B]
        earlier = padded[:, :-1]

        def read_more(start: tf.Tensor, state: State) -> tuple:
            chunk = earlier[:, start : start + CHUNK]  # [B,C]
            positions = start + tf.range(tf.shape(chunk)[1])  # [C]
            mask = positions < lengths  # [B,C]
            after = self.read_chunk(chunk, mask, state)
            return start + CHUNK, like(state, after)

        _, state = tf.while_loop(
            lambda start, _: start < tf.shape(earlier)[1],
            read_more,
            (tf.constant(0), state),
        )
        return last, state

    def _read_chunk(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> State:
        # Nobody uses these logits: the graph leaves out their computation.
        return self._call(ids, mask, state)[1]

    def _read_position(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        logits, state = self._call(
            ids[:, tf.newaxis], mask[:, tf.newaxis], state
        )
        return logits[:, 0], state

    def _call(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Logits [B,T,V] and the state after ids [B,T] where `mask` [B,T]."""
        return self.model(
            ids,
            mask=mask,
            initial_state=state,
            return_state=True,
            training=False,
        )


def traced(function: Callable, *specs: Any) -> Callable:
    """A trace: a save would make its own of one that is made for calls."""
    graph = tf.function(function, autograph=False)
    return graph.get_concrete_function(*specs)


def checked(value: tf.Tensor, holds: tf.Tensor, *message: Any) -> tf.Tensor:
    """The value itself, if what it has to fulfil holds, also in a graph.

    Raises:
        tf.errors.InvalidArgumentError: With the message, if it does not.
    """
    check = tf.debugging.Assert(holds, [*message])
    # Eagerly an assertion has raised by now and is None.
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(value)


def like(before: State, after: State) -> State:
    """The state `after` with the shapes of `before`: a loop has to keep them.

    >>> state = {"position": tf.zeros([2], tf.int32)}
    >>> like(state, {"position": tf.ones([2], tf.int32)})["position"].numpy()
    array([1, 1], dtype=int32)
    """
    return {
        name: tf.ensure_shape(after[name], tensor.shape)
        for name, tensor in before.items()
    }


def any_rows(state: State) -> dict[str, tf.TensorSpec]:
    """What a graph takes that is to have such states of any number of rows."""
    return {
        name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
        for name, tensor in state.items()
    }


def in_precision(model: LanguageModel, precision: str) -> LanguageModel:
    """The model itself if it is of that precision throughout, else a copy.

    >>> from tflm.models import GRU
    >>> model = GRU(vocabulary_size=5, units=2, dtype="mixed_bfloat16")
    >>> in_precision(model, "float32").compute_dtype
    'float32'
    """
    if model.compute_dtype == model.variable_dtype == precision:
        return model
    copy = type(model).from_config({**model.get_config(), "dtype": precision})
    for new, old in zip(copy.weights, model.weights, strict=True):
        new.assign(tf.cast(old.value, new.dtype))
    return copy


def strings(name: str, value: Any) -> tf.Tensor:
    """A string or strings [B] as a tensor; `name` is for the error's text."""
    value = tf.convert_to_tensor(value, tf.string)
    if value.shape.rank not in (0, 1):
        raise ValueError(
            f"`{name}` must be a string or strings of shape [B]. "
            f"Received: {name}.shape={value.shape}"
        )
    return value


def like_rows(
    given: tf.Tensor, rows: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The only row alone where one string was given."""
    if given.shape.rank == 0:
        return {name: tensor[0] for name, tensor in rows.items()}
    return rows


def as_lists(pieces: tf.RaggedTensor) -> list[list[str]]:
    """Strings [B,(U)] as lists of str, U+FFFD in the place of what is broken.

    >>> as_lists(tf.ragged.constant([["a"], []], dtype=tf.string))
    [['a'], []]
    """
    return [
        [piece.decode("utf-8", "replace") for piece in row]
        for row in pieces.to_list()
    ]
