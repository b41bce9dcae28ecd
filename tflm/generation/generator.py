"""What one step, a whole text and a beam share. Axes: B batch, V vocabulary."""

import contextlib
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tflm import sampling
from tflm.generation.reader import (
    TEXTS,
    Reader,
    checked,
    like,
    traced,
    traced_once,
)
from tflm.generation.stop_strings import StopStrings
from tflm.generation_settings import GenerationSettings
from tflm.layers.fused import fused
from tflm.models import LanguageModel, State
from tflm.tokenizers import Tokenizer

# Threads that meet in a new kernel may end the process, see `fused_by_part`.
_TURNS = threading.RLock()


class Generator(Reader):
    """A model, its tokenizer and the settings that hold.

    The state is the model's and, where repetition is to be found, `recent_ids`
    int32[B,N], the last tokens read.

    Args:
        model: As `Reader` takes it, and `tokenizer` and `allow_end` too.
        tokenizer: The `Tokenizer` of the model's ids.
        settings: Optional `GenerationSettings`. Default: their defaults.
        allow_end: bool. Default True.
        reads_as: Optional `Generator` of another kind, made of the same: what
            the model and the tokenizer compute and how prompts are read is
            traced once, and stands once in an export.
        jit_compile: bool. Whether tokens are read and drawn in a kernel made
            by XLA, where that works: some seconds are lost at first, and few
            rows, or any of a small model, are then several times as fast.
            Many rows of a large model are the faster where operations have one
            thread each (`tf.config.threading`): each core has a part of them.
            Calls of several threads take turns. Not for an export. Default
            False.

    Raises:
        ValueError: If model and tokenizer differ in the number of ids, or if
            a banned token is not in the vocabulary.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        settings: GenerationSettings | None = None,
        *,
        allow_end: bool = True,
        reads_as: "Generator | None" = None,
        jit_compile: bool = False,
    ):
        self.settings = settings or GenerationSettings()
        super().__init__(
            model,
            tokenizer,
            allow_end=allow_end,
            prompt_bytes_limit=self.settings.prompt_bytes_limit,
            precision=self.settings.precision,
            reads_as=reads_as,
        )
        self.constraints = sampling.Constraints(
            _banned_ids(tokenizer, allow_end, self.settings.banned_tokens),
            self.settings.repetition_penalty,
            self.settings.no_repeat_ngram,
        )
        self.jit_compile = jit_compile and model.supports_jit
        self.stops: StopStrings | None = None
        if self.settings.stop:
            self.stops = StopStrings(self.settings.stop)

    @functools.cached_property
    def read_position(self) -> Callable[..., tuple[tf.Tensor, State]]:
        if self.jit_compile:
            return fused(self._read_position)
        return super().read_position

    @traced_once
    def read_prompts(self) -> tf.types.experimental.PolymorphicFunction:
        """Reads all of prompts [B] but their last ids, for a graph.

        It gives these ids [B] and the state.
        """
        prompt = tf.TensorSpec([None], tf.string, "prompt")
        return tf.function(
            self._read_prompts, input_signature=[prompt], autograph=False
        )

    @traced_once
    def continuation(self) -> Callable[[tf.RaggedTensor, tf.Tensor], tf.Tensor]:
        """The text of ids [B,(T)] behind texts [B], for a graph."""
        ids = tf.RaggedTensorSpec([None, None], tf.int32)
        return traced(self.tokenizer.continuation, ids, TEXTS)

    def turn(self) -> contextlib.AbstractContextManager:
        """What a call has to itself while it computes."""
        return _TURNS if self.jit_compile else contextlib.nullcontext()

    def tensors(self, settings: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Settings by name as tensors of their types, defaults for None."""
        tensors = {}
        for name, value in settings.items():
            value = getattr(self.settings, name) if value is None else value
            tensors[name] = sampling.as_tensor(name, value)
        return tensors

    def _ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        if self.settings.on_oov == "error":
            text = self._known(text)
        ids = super()._ids(text)
        if self.settings.on_oov == "drop":
            ids = tf.ragged.boolean_mask(ids, ids != self.tokenizer.unk_id)
        return ids

    def _known(self, text: tf.Tensor) -> tf.Tensor:
        """The text itself, if the vocabulary has all of it."""
        unknown = self.tokenizer.unknown_pieces(text).flat_values
        return checked(
            text,
            tf.size(unknown) == 0,
            "a prompt must hold nothing that the vocabulary lacks. "
            "Received: unknown pieces=",
            tf.size(unknown),
            unknown,
        )

    def _limits(
        self, max_new_tokens: tf.Tensor, batch_size: tf.Tensor
    ) -> tf.Tensor:
        """How many tokens each row may have, int32[B]."""
        most = self.settings.max_new_tokens_limit
        return sampling.checked_rows(
            "max_new_tokens", max_new_tokens, batch_size, most=most
        )

    def _begin(self, batch_size: int | tf.Tensor) -> State:
        """The state of rows that have read nothing."""
        state = self.model.get_initial_state(batch_size)
        if self.constraints.remembers:
            state["recent_ids"] = self.constraints.nothing(batch_size)
        return state

    def _read(
        self, ids: tf.RaggedTensor, state: State
    ) -> tuple[tf.Tensor, State]:
        state = dict(state)
        history = state.pop("recent_ids", None)
        last, state = super()._read(ids, state)
        if history is not None:
            state["recent_ids"] = self.constraints.remember(
                history, ids[:, :-1]
            )
        return last, state

    def _read_prompts(self, prompt: tf.Tensor) -> tuple[tf.Tensor, State]:
        ids = self._prompt_ids(prompt)
        return self._read(ids, self._begin(tf.size(prompt)))

    def _logits(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Reads one id a row, [B], where `mask` [B]; what may follow, [B,V]."""
        state = dict(state)
        history = state.pop("recent_ids", None)
        logits, after = self.read_position(ids, mask, state)
        state = like(state, after)
        if history is not None:
            state["recent_ids"] = self.remembered(history, ids, mask)
        return logits, state

    def remembered(
        self, history: tf.Tensor, ids: tf.Tensor, mask: tf.Tensor
    ) -> tf.Tensor:
        """The last tokens read [B,N], ids [B] among them where `mask` [B]."""
        longer = self.constraints.remember(history, ids[:, tf.newaxis])
        return tf.where(mask[:, tf.newaxis], longer, history)

    def allowed(self, logits: tf.Tensor, state: State) -> tf.Tensor:
        """The logits [B,V], or log-probabilities, that the rules leave."""
        return self.constraints.apply(logits, state.get("recent_ids"))

    def _next(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor,
        state: State,
        settings: sampling.RowSettings,
    ) -> tuple[tf.Tensor, State]:
        """Reads one id a row, [B], where `mask` [B]; draws the next, [B]."""
        logits, state = self._logits(ids, mask, state)
        drawn = sampling.sample(
            self.allowed(logits, state),
            state["position"],
            settings,
            self.settings.min_p,
        )
        return drawn, state


def _banned_ids(
    tokenizer: Tokenizer, allow_end: bool, tokens: tuple[str, ...]
) -> np.ndarray:
    """bool[V], True for the ids that are never generated."""
    banned = np.zeros(tokenizer.vocabulary_size, bool)
    banned[[tokenizer.pad_id, tokenizer.unk_id, tokenizer.start_id]] = True
    banned[tokenizer.end_id] = not allow_end
    if tokens:
        ids = tf.range(tokenizer.vocabulary_size)[:, tf.newaxis]
        alone = tokenizer.detokenize(ids).numpy()
        # A word's text begins with its space where it follows another.
        behind = tokenizer.continuation(ids, tf.fill([len(alone)], "a")).numpy()
        for token in tokens:
            own = (alone == token.encode()) | (behind == token.encode())
            if not own.any():
                raise ValueError(
                    "`banned_tokens` must be tokens of the vocabulary. "
                    f"Received: {token!r}"
                )
            banned |= own
    if banned.all():
        raise ValueError(
            "`banned_tokens` must leave a token to generate. Received: "
            f"banned_tokens={list(tokens)}"
        )
    return banned
