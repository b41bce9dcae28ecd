"""Whole texts, the loop over tokens inside the graph.

Axes: B batch, (T) tokens of a row, ragged, S steps of the loop.
"""

import functools
from typing import Any

import tensorflow as tf

from tflm import sampling
from tflm.generation.generator import Generator
from tflm.generation.reader import like, like_rows, strings
from tflm.generation.stop_strings import first_bytes
from tflm.generation_settings import CALL_SETTINGS
from tflm.layers.fused import fused, xla_works
from tflm.models import State, Steps

_REASONS = ("length", "end", "stop")
# Tokens that are written at a time: what a block begins and ends with is then
# little to each, and what it carries is little, too.
_BLOCK = 16
# Rows that XLA's products, made for one core, are fast enough for.
_FEW = 8


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
        self._steps = self.model.steps(_BLOCK, kernels=self.jit_compile)
        self._fixed_steps: Steps | None = None
        # Strings are nothing for XLA.
        if self.jit_compile and not self.stops and xla_works():
            self._fixed_steps = self.model.steps(_BLOCK, fixed=True)

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
        return like_rows(prompts, self.texts(rows, **self.tensors(settings)))

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
        completion = self.tokenizer.continuation(rows["ids"], prompt)
        if self.stops:
            stopped = rows["reason"] == _REASONS.index("stop")
            kept = tf.where(
                stopped, rows["kept"], tf.strings.length(completion)
            )
            completion = first_bytes(completion, kept)
        return {
            "text": valid(prompt + completion),
            "completion": valid(completion),
            "completion_bytes": completion,
            "num_tokens": tf.cast(rows["ids"].row_lengths(), tf.int32),
            "finish_reason": tf.gather(_REASONS, rows["reason"]),
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

        def write(steps: Steps) -> tuple[dict[str, Any], tf.Tensor]:
            return self._write(steps, rows, state, settings)

        if self._fixed_steps is None:
            rows, drawn = write(self._steps)
        else:
            rows, drawn = tf.cond(
                tf.size(prompt) <= _FEW,
                lambda: write(self._fixed_steps),
                lambda: write(self._steps),
            )
        # What a row draws after its end is cut off by its length.
        ids = tf.RaggedTensor.from_tensor(drawn, rows["lengths"])
        return {**rows, "ids": ids}

    def _write(
        self,
        steps: Steps,
        rows: dict[str, Any],
        state: State,
        settings: sampling.RowSettings,
    ) -> tuple[dict[str, Any], tf.Tensor]:
        """Writes block after block, int32 [B,S], until no row goes on."""
        state, weights = steps.begin(state), steps.weights()
        one_block = functools.partial(self._block, steps)
        write_block = fused(one_block) if steps.fixed else one_block
        # An empty array cannot be stacked: it begins with a block of nothing.
        nothing = tf.zeros([_BLOCK, tf.size(rows["limits"])], tf.int32)
        blocks = tf.TensorArray(tf.int32, size=1, dynamic_size=True)

        def block(
            count: tf.Tensor,
            rows: dict[str, Any],
            state: State,
            blocks: tf.TensorArray,
        ) -> tuple:
            rows, after, drawn = write_block(weights, rows, state, settings)
            state = like(state, after)
            return count + 1, rows, state, blocks.write(count, drawn)

        _, rows, _, blocks = tf.while_loop(
            lambda count, rows, *_: tf.reduce_any(rows["goes_on"]),
            block,
            (tf.constant(1), rows, state, blocks.write(0, nothing)),
        )
        return rows, tf.transpose(blocks.concat()[_BLOCK:])

    def _block(
        self,
        steps: Steps,
        weights: tuple[tf.Tensor, ...],
        rows: dict[str, Any],
        state: State,
        settings: sampling.RowSettings,
    ) -> tuple[dict[str, Any], State, tf.Tensor]:
        """Writes the next tokens, int32 [_BLOCK,B]."""
        none = tf.zeros([_BLOCK, tf.size(settings.seed)], tf.int32)
        numbers = tf.cond(
            tf.reduce_any(settings.temperature > 0),
            lambda: sampling.uniforms(
                settings.seed, state["position"] + 1, _BLOCK
            ),
            lambda: tf.cast(none, tf.float64),
        )  # [_BLOCK,B]

        def token(
            count: tf.Tensor,
            rows: dict[str, Any],
            state: State,
            drawn: tf.Tensor,
        ) -> tuple:
            last, goes_on = rows["last"], rows["goes_on"]
            logits, after = steps.read(weights, last, goes_on, state)
            if "recent_ids" in rows:
                recent = self._remembered(rows["recent_ids"], last, goes_on)
                rows = like(rows, {**rows, "recent_ids": recent})
            ids = sampling.sample(
                self._allowed(logits, rows),
                after["position"],
                settings,
                self.settings.min_p,
                numbers[count],
                steps.fixed,
            )
            now = tf.range(_BLOCK)[:, tf.newaxis] == count  # [_BLOCK,1]
            drawn = tf.where(now, ids, drawn)
            return count + 1, self._grown(rows, ids), like(state, after), drawn

        _, rows, state, drawn = tf.while_loop(
            lambda count, rows, *_: (
                (count < _BLOCK) & tf.reduce_any(rows["goes_on"])
            ),
            token,
            (tf.constant(0), rows, state, none),
        )
        return rows, steps.turn(state), drawn

    def _grown(self, rows: dict[str, Any], drawn: tf.Tensor) -> dict[str, Any]:
        """The rows with a token drawn for each, [B]."""
        goes_on = rows["goes_on"]
        ends = goes_on & (drawn == self.tokenizer.end_id)
        grows = goes_on & ~ends
        lengths = rows["lengths"] + tf.cast(grows, tf.int32)
        reason = tf.where(ends, _REASONS.index("end"), rows["reason"])
        after = {**rows, "last": drawn, "lengths": lengths}
        if self.stops:
            text = self._text_behind(drawn, rows["follows"])
            text = tf.where(grows, text, "")
            stop_state, kept = self.stops.advance(rows["stop_state"], text)
            met = grows & self.stops.met(stop_state)
            reason = tf.where(met, _REASONS.index("stop"), reason)
            grows &= ~met
            after["follows"] = tf.where(text == "", rows["follows"], text)
            after["stop_state"] = stop_state
            after["kept"] = rows["kept"] + kept
        goes_on = grows & (lengths < rows["limits"])
        return after | {"goes_on": goes_on, "reason": reason}


def _signature() -> tuple[tf.TensorSpec, ...]:
    settings = [
        tf.TensorSpec(None, sampling.SETTINGS[name].dtype, name)
        for name in CALL_SETTINGS
    ]
    return tf.TensorSpec([None], tf.string, "prompt"), *settings


def valid(text: tf.Tensor) -> tf.Tensor:
    """Text in valid UTF-8, U+FFFD in the place of what is broken."""
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8")
