"""Several texts for each prompt, the best or different ones, with scores.

Axes: B batch, K beams, N rows of all beams, V vocabulary, (T) tokens, ragged.
"""

import functools
from typing import Any

import tensorflow as tf

from tflm import sampling
from tflm.generation.generator import Generator
from tflm.generation.reader import like_rows, strings
from tflm.generation.stop_strings import first_bytes
from tflm.generation.text_generator import valid
from tflm.generation_settings import BEAM_METHODS, STEP_SETTINGS
from tflm.models import State

# The score where a row has fewer texts than beams: JSON has no infinity.
NOTHING = tf.float32.min
_SEARCH = ("num_beams", "max_new_tokens", "length_penalty")
_SAMPLED = (*_SEARCH, *STEP_SETTINGS)


class BeamGenerator(Generator):
    """Continues prompts by `sampling.beam_search`.

    Bans, penalties and stop strings hold as they do for a single text; the
    repetition penalty multiplies log-probabilities here. The filters of the
    draw (temperature, top-k, top-p, min-p) count for the methods that draw.
    See `Generator` for the arguments.

    Example:
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Characters
    >>> tokenizer = Characters("abc")
    >>> model = GRU(vocabulary_size=tokenizer.vocabulary_size, units=8)
    >>> generator = BeamGenerator(model, tokenizer, allow_end=False)
    >>> found = generator.search(["ab", ""], num_beams=3, max_new_tokens=4)
    >>> found["texts"].shape, found["scores"].shape
    (TensorShape([2, 3]), TensorShape([2, 3]))
    """

    @functools.cached_property
    def searches(
        self,
    ) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """`search` for a graph, by method: prompts [B], settings as tensors."""
        return {
            method: tf.function(
                functools.partial(self._search, method),
                input_signature=_signature(method),
                autograph=False,
            )
            for method in BEAM_METHODS
        }

    def search(
        self,
        prompts: Any,
        *,
        num_beams: Any = 4,
        max_new_tokens: Any = None,
        length_penalty: Any = 0.0,
        method: str = "likeliest",
        **settings: Any,
    ) -> dict[str, tf.Tensor]:
        """Finds continuations of prompts.

        Args:
            prompts: A string, or strings [B]. They may be empty.
            num_beams: int32, scalar or [B]: texts kept and returned.
            max_new_tokens: int32, scalar or [B], END not counted. Default
                None: as in `settings`.
            length_penalty: float32, scalar or [B], see `sampling.penalty`; 0
                is off. The method "stochastic" does not look at it.
            method: One of `BEAM_METHODS`, see `sampling.beam_search`.
            **settings: `temperature`, `top_k`, `top_p` and `seed` of the
                methods that draw, scalar or [B].

        Returns:
            A dict of tensors [B,K], or [K] if `prompts` is one string; K is
            the largest `num_beams`. Behind what a row has stand an empty
            string and the lowest float32.
            - `texts`: string, prompt and continuation, valid UTF-8.
            - `scores`: float32, highest first: nats of the continuation, END
              included where it ends, divided by the length's penalty; for
              "stochastic" perturbed, see there.
            - `log_probs`: float32, the nats themselves.

        Raises:
            ValueError: If `prompts` has a rank above 1, or if a setting is
                given that the method does not have.
            tf.errors.InvalidArgumentError: If a setting breaks its rule.
        """
        prompts = strings("prompts", prompts)
        if method not in BEAM_METHODS:
            raise ValueError(
                f"`method` must be one of {', '.join(BEAM_METHODS)}. "
                f"Received: method={method!r}"
            )
        given = {
            "num_beams": num_beams,
            "max_new_tokens": max_new_tokens,
            "length_penalty": length_penalty,
        }
        if method != "likeliest":
            given |= {name: settings.pop(name, None) for name in STEP_SETTINGS}
        if settings:
            raise ValueError(
                f"`method` {method} takes no {', '.join(settings)}"
            )
        rows = tf.reshape(prompts, [-1])  # [B]
        with self.turn():
            found = self.searches[method](rows, **self.tensors(given))
        return like_rows(prompts, found)

    def _search(
        self,
        method: str,
        prompt: tf.Tensor,
        num_beams: tf.Tensor,
        max_new_tokens: tf.Tensor,
        length_penalty: tf.Tensor,
        temperature: tf.Tensor | float = 1.0,
        top_k: tf.Tensor | int = 0,
        top_p: tf.Tensor | float = 1.0,
        seed: tf.Tensor | int = 0,
    ) -> dict[str, tf.Tensor]:
        batch_size = tf.size(prompt)
        rows = sampling.row_settings(
            batch_size,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        rules = sampling.Rules(
            sampling.checked_rows("num_beams", num_beams, batch_size),
            self._limits(max_new_tokens, batch_size),
            sampling.checked_rows("length_penalty", length_penalty, batch_size),
            rows.seed,
        )
        last, state = self.read_prompts(prompt)
        if self.stops:
            state["stop_state"] = self.stops.start(batch_size)
            state["follows"] = prompt

        beams = sampling.beam_search(
            functools.partial(self._step, method, rows),
            state,
            last,
            rules,
            end_id=self.tokenizer.end_id,
            method=method,
            ends=self._ends if self.stops else None,
        )
        there = beams.scores > -float("inf")
        texts = self._texts_of(beams.ids, prompt)
        return {
            "texts": tf.where(there, texts, ""),
            "scores": tf.where(there, beams.scores, NOTHING),
            "log_probs": tf.where(there, beams.log_probs, NOTHING),
        }

    def _step(
        self,
        method: str,
        rows: sampling.RowSettings,
        ids: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        """Reads ids [N]: the log-probabilities [N,V] of what may follow."""
        state = dict(state)
        texts: State = {
            name: state.pop(name)
            for name in ("stop_state", "follows")
            if name in state
        }
        logits, state = self._logits(ids, tf.ones_like(ids, tf.bool), state)
        if method == "likeliest":
            log_probs = self.allowed(tf.nn.log_softmax(logits), state)
        else:
            # A temperature of 0 leaves the likeliest token alone.
            top_k = tf.where(rows.temperature > 0, rows.top_k, 1)
            count = tf.size(ids) // tf.maximum(tf.size(top_k), 1)  # K
            row = tf.range(tf.size(ids)) // tf.maximum(count, 1)  # [N]
            own = sampling.RowSettings(
                *(tf.gather(s, row) for s in rows._replace(top_k=top_k))
            )
            allowed = self.allowed(logits, state)
            narrowed = sampling.filter_logits(allowed, own, self.settings.min_p)
            log_probs = tf.nn.log_softmax(narrowed)
        return log_probs, {**state, **texts}

    def _ends(self, ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Whether the texts [N] have met a stop string with these ids."""
        assert self.stops is not None
        text = self.text_behind(ids, state["follows"])
        stop_state, _ = self.stops.advance(state["stop_state"], text)
        follows = tf.where(text == "", state["follows"], text)
        after = {**state, "stop_state": stop_state, "follows": follows}
        return self.stops.met(stop_state), after

    def _texts_of(self, ids: tf.RaggedTensor, prompt: tf.Tensor) -> tf.Tensor:
        """Prompts [B] and their continuations [B,K,(T)]: string[B,K]."""
        count = ids.values.nrows() // tf.maximum(ids.nrows(), 1)  # K
        follows = tf.repeat(prompt, count)  # [B*K]
        completion = self.continuation(ids.values, follows)
        if self.stops:
            begin = self.stops.start(tf.size(completion))
            _, kept = self.stops.advance(begin, completion)
            completion = first_bytes(completion, kept)
        shape = tf.stack([ids.nrows(), count])
        return tf.reshape(valid(follows + completion), shape)


def _signature(method: str) -> tuple[tf.TensorSpec, ...]:
    names = _SEARCH if method == "likeliest" else _SAMPLED
    settings = [
        tf.TensorSpec(None, sampling.SETTINGS[name].dtype, name)
        for name in names
    ]
    return tf.TensorSpec([None], tf.string, "prompt"), *settings
