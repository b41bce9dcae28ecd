"""Whole texts, the loop over tokens inside the graph.

Axes: B batch, (T) tokens of a row, ragged, S steps of the loop.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tflm import sampling
from tflm.generation.block_writer import REASONS, BlockWriter
from tflm.generation.generator import Generator
from tflm.generation.reader import like_rows, strings
from tflm.generation.stop_strings import first_bytes
from tflm.generation_settings import CALL_SETTINGS
from tflm.layers.fused import xla_works
from tflm.models import row_shares

# Rows that XLA's products, made for few, are fast enough for in any model.
_FEW = 8
# Weights of models for which they are fast enough for any rows, and ids of
# which XLA sorts any rows fast enough, for `top_k` and `top_p`.
_SMALL = 4_000_000
_FEW_IDS = 512


class TextGenerator(Generator):
    """Continues prompts of any length, each by its own settings.

    A row ends at END, right behind a stop string or after `max_new_tokens`;
    the loop ends with the last row. There is one trace for all batches. See
    `Generator` for the arguments.

    Example:
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Characters
    >>> tokenizer = Characters("abc")
    >>> model = GRU(vocabulary_size=tokenizer.vocabulary_size, units=8)
    >>> generator = TextGenerator(model, tokenizer, allow_end=False)
    >>> generated = generator.generate(["ab", ""], max_new_tokens=[2, 3])
    >>> generated["num_tokens"].numpy().tolist()
    [2, 3]
    """

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **keywords)
        self._writer = BlockWriter(self, kernels=self.jit_compile)
        self._compiled: BlockWriter | None = None
        # Strings are nothing for XLA.
        if self.jit_compile and not self.stops and xla_works():
            self._compiled = BlockWriter(self, fixed=True)

    @functools.cached_property
    def texts(self) -> tf.types.experimental.PolymorphicFunction:
        """`generate` for a graph: prompts [B] and settings, as tensors."""
        return tf.function(
            self._texts, input_signature=_signature(), autograph=False
        )

    def generate(
        self,
        prompts: Any,
        *,
        max_new_tokens: Any = None,
        temperature: Any = None,
        top_k: Any = None,
        top_p: Any = None,
        seed: Any = None,
    ) -> dict[str, tf.Tensor]:
        """Continues prompts.

        Args:
            prompts: A string, or strings [B]. They may be empty.
            max_new_tokens: int32, scalar or [B], END not counted. Default
                None: as in `settings`, like the following.
            temperature: float32, scalar or [B].
            top_k: int32, scalar or [B].
            top_p: float32, scalar or [B].
            seed: int32, scalar or [B].

        Returns:
            A dict of tensors [B], or of scalars if `prompts` is one string:
            - `text`: string, the prompt and its continuation, valid UTF-8.
            - `completion`: string, the continuation, valid UTF-8.
            - `completion_bytes`: string, the continuation as it is.
            - `num_tokens`: int32, the tokens generated, END not counted.
            - `finish_reason`: string, `end`, `stop` or `length`.

        Raises:
            ValueError: If `prompts` has a rank above 1.
            tf.errors.InvalidArgumentError: If a setting breaks its rule.
        """
        prompts = strings("prompts", prompts)
        settings = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
        }
        rows = tf.reshape(prompts, [-1])  # [B]
        with self.turn():
            generated = self.texts(rows, **self.tensors(settings))
        return like_rows(prompts, generated)

    def _texts(
        self,
        prompt: tf.Tensor,
        max_new_tokens: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        batch_size = tf.size(prompt)
        limits = self._limits(max_new_tokens, batch_size)
        settings = sampling.row_settings(
            batch_size,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        return self._outputs(prompt, self._continue(prompt, limits, settings))

    def _outputs(
        self, prompt: tf.Tensor, rows: dict[str, Any]
    ) -> dict[str, tf.Tensor]:
        """What is given of prompts [B] and of what `_continue` found."""
        completion = self.continuation(rows["ids"], prompt)
        if self.stops:
            stopped = rows["reason"] == REASONS.index("stop")
            kept = tf.where(
                stopped, rows["kept"], tf.strings.length(completion)
            )
            completion = first_bytes(completion, kept)
        return {
            "text": valid(prompt + completion),
            "completion": valid(completion),
            "completion_bytes": completion,
            "num_tokens": tf.cast(rows["ids"].row_lengths(), tf.int32),
            "finish_reason": tf.gather(REASONS, rows["reason"]),
        }

    def _continue(
        self,
        prompt: tf.Tensor,
        limits: tf.Tensor,
        settings: sampling.RowSettings,
    ) -> dict[str, Any]:
        """What follows prompts [B]: `ids` [B,(T)], `reason`, `kept` bytes."""
        last, state = self.read_prompts(prompt)
        none = tf.zeros_like(limits)  # [B]
        rows = {
            "last": last,
            "limits": limits,
            "goes_on": limits > 0,
            "reason": none,
            "lengths": none,
        }
        if self.stops:
            rows |= {"follows": prompt, "stop_state": none, "kept": none}
        if "recent_ids" in state:
            # Not the model's: its steps have a form for their own alone.
            rows["recent_ids"] = state.pop("recent_ids")

        given = rows, state, settings
        if self._compiled is None:
            rows, drawn = self._writer.write(*given)
        elif self._is_small:
            rows, drawn = self._compiled.write_parts(*given)
        else:
            rows, drawn = tf.cond(
                tf.size(prompt) <= _FEW,
                lambda: self._compiled.write_parts(*given),
                lambda: self._write_many(*given),
            )
        # What a row draws after its end is cut off by its length.
        ids = tf.RaggedTensor.from_tensor(drawn, rows["lengths"])
        return {**rows, "ids": ids}

    @property
    def _write_many(self) -> Callable:
        writer = self._writer
        in_parts = writer.steps.in_parts or row_shares.one_thread_each()
        return writer.write_parts if in_parts else writer.write

    @property
    def _is_small(self) -> bool:
        model = self.model
        return (
            model.vocabulary_size <= _FEW_IDS and model.count_params() <= _SMALL
        )


def _signature() -> tuple[tf.TensorSpec, ...]:
    settings = [
        tf.TensorSpec(None, sampling.SETTINGS[name].dtype, name)
        for name in CALL_SETTINGS
    ]
    return tf.TensorSpec([None], tf.string, "prompt"), *settings


def valid(text: tf.Tensor) -> tf.Tensor:
    """Text in valid UTF-8, U+FFFD in the place of what is broken."""
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8")
