"""The choices behind a text: what was likely at each token, what was drawn.

Axes: B batch, here one text, (T) tokens, K the likeliest, V vocabulary.
"""

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from tflm import sampling
from tflm.generation.reader import strings
from tflm.generation.text_generator import TextGenerator
from tflm.generation_settings import CALL_SETTINGS
from tflm.models import State


@dataclasses.dataclass(frozen=True)
class Choice:
    """A token that a text could have gone on with.

    Attributes:
        text: bytes. What it adds to the text; END adds nothing.
        is_end: bool. Whether it is END.
        raw: float. Its probability, as the model sees it.
        filtered: float. The one that it was drawn with, after the rules,
            temperature and filters; with temperature 0 it is 1 or 0.
        drawn: bool. Whether it is the one that the text has.
    """

    text: bytes
    is_end: bool
    raw: float
    filtered: float
    drawn: bool


class ChoiceTable(TextGenerator):
    """Writes a text and tells the choices at each of its tokens.

    See `Generator` for the arguments.

    Example:
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Characters
    >>> tokenizer = Characters("abc")
    >>> model = GRU(vocabulary_size=tokenizer.vocabulary_size, units=8)
    >>> table = ChoiceTable(model, tokenizer, allow_end=False)
    >>> text, steps = table.choices("ab", k=5, max_new_tokens=3, top_k=2)
    >>> [sum(choice.filtered > 0 for choice in step) for step in steps]
    [2, 2, 2]
    >>> drawn = [c.text.decode() for step in steps for c in step if c.drawn]
    >>> text == "ab" + "".join(drawn)
    True
    """

    def choices(
        self, prompt: str | bytes, k: int = 10, **settings: Any
    ) -> tuple[str, list[list[Choice]]]:
        """The text that `generate` writes, and the choices at each token.

        They are computed again, and in bfloat16 may be rounded differently.

        Args:
            prompt: str, or bytes as they are.
            k: int, at least 1. How many of the likeliest. Default 10.
            **settings: As `generate` takes them, scalars. A seed of -1 draws
                a text of its own.

        Returns:
            The text, prompt and continuation, and for each token drawn, END
            included, its `Choice`s, the likeliest first by their raw
            probability. The one drawn is always there, the last if it is none
            of the `k` likeliest.

        Raises:
            ValueError: If `k` is below 1.
            tf.errors.InvalidArgumentError: If a setting breaks its rule.
        """
        if k < 1:
            raise ValueError(f"`k` must be at least 1. Received: k={k}")
        given = self.tensors({n: settings.pop(n, None) for n in CALL_SETTINGS})
        if settings:
            raise TypeError(f"no such settings: {', '.join(settings)}")
        prompts = strings("prompt", [prompt])
        limits = self._limits(given.pop("max_new_tokens"), tf.size(prompts))
        rows = sampling.row_settings(1, **given)
        with self.turn():
            written = self._written(prompts, limits, *rows)
        drawn = written["ids"].to_list()[0]
        if written["finish_reason"] == b"end":
            drawn.append(self.tokenizer.end_id)
        last, state = self.read_prompts(prompts)
        follows, steps = prompts, []
        for id_ in drawn:
            with self.turn():
                shares, state = self._shares(last, state, rows)
            steps.append(self._listed(shares, id_, k, follows))
            last = tf.constant([id_], tf.int32)
            follows = tf.strings.join(
                [follows, self.text_behind(last, follows)]
            )
        return written["text"].numpy()[0].decode(), steps

    @functools.cached_property
    def _written(self) -> tf.types.experimental.PolymorphicFunction:
        def written(
            prompt: tf.Tensor, limits: tf.Tensor, *settings: tf.Tensor
        ) -> dict[str, Any]:
            settings = sampling.RowSettings(*settings)
            rows = self._continue(prompt, limits, settings)
            return {"ids": rows["ids"], **self._outputs(prompt, rows)}

        specs = [
            tf.TensorSpec([None], sampling.SETTINGS[name].dtype)
            for name in CALL_SETTINGS
        ]
        prompt = tf.TensorSpec([None], tf.string)
        return tf.function(
            written, input_signature=[prompt, *specs], autograph=False
        )

    @functools.cached_property
    def _shares(self) -> tf.types.experimental.PolymorphicFunction:
        return tf.function(self._both, autograph=False)

    def _both(
        self, last: tf.Tensor, state: State, rows: sampling.RowSettings
    ) -> tuple[tf.Tensor, State]:
        """Probabilities [2,V] of what follows, raw and as it is drawn."""
        reads = tf.ones([1], tf.bool)
        logits, state = self._logits(last, reads, state)  # [1,V]
        allowed = self.allowed(logits, state)
        narrowed = sampling.filter_logits(allowed, rows, self.settings.min_p)
        likeliest = tf.one_hot(sampling.greedy(allowed), logits.shape[-1])
        filtered = tf.where(
            rows.temperature[:, tf.newaxis] > 0,
            tf.nn.softmax(narrowed),
            likeliest,
        )
        return tf.concat([tf.nn.softmax(logits), filtered], axis=0), state

    def _listed(
        self, shares: tf.Tensor, drawn: int, k: int, follows: tf.Tensor
    ) -> list[Choice]:
        raw, filtered = shares.numpy()
        never = (self.tokenizer.pad_id, self.tokenizer.start_id)
        order = sorted(range(len(raw)), key=lambda id_: (-raw[id_], id_))
        ids = [id_ for id_ in order if id_ not in never][:k]
        if drawn not in ids:
            ids.append(drawn)
        texts = self.text_behind(tf.constant(ids), tf.repeat(follows, len(ids)))
        return [
            Choice(
                text,
                id_ == self.tokenizer.end_id,
                float(raw[id_]),
                float(filtered[id_]),
                id_ == drawn,
            )
            for id_, text in zip(ids, texts.numpy(), strict=True)
        ]
