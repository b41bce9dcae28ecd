"""What one step and a whole text share. Axes: B batch, V vocabulary."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tflm import sampling
from tflm.generation.reader import Reader
from tflm.generation_settings import GenerationSettings
from tflm.models import LanguageModel, State
from tflm.tokenizers import Tokenizer

# The settings that a step takes; a text takes `max_new_tokens` besides.
STEP_SETTINGS = ("temperature", "top_k", "top_p", "seed")


class Generator(Reader):
    """A model, its tokenizer and the settings that hold by default.

    Args:
        model: As `Reader` takes it, and `tokenizer` and `allow_end` too.
        tokenizer: The `Tokenizer` of the model's ids.
        settings: Optional `GenerationSettings`. Default: their defaults.
        allow_end: bool. Default True.

    Raises:
        ValueError: If model and tokenizer differ in the number of ids.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        settings: GenerationSettings | None = None,
        *,
        allow_end: bool = True,
    ):
        super().__init__(model, tokenizer, allow_end=allow_end)
        self.settings = settings or GenerationSettings()
        self._banned = _banned_ids(tokenizer, allow_end)

    def tensors(self, settings: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Settings by name as tensors of their types, defaults for None."""
        tensors = {}
        for name, value in settings.items():
            value = getattr(self.settings, name) if value is None else value
            dtype = sampling.SETTINGS[name].dtype
            tensors[name] = tf.convert_to_tensor(value, dtype)
        return tensors

    def _next(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor,
        state: State,
        settings: sampling.RowSettings,
    ) -> tuple[tf.Tensor, State]:
        """Reads one id a row, [B], where `mask` [B]; draws the next, [B]."""
        logits, state = self._call(
            ids[:, tf.newaxis], mask[:, tf.newaxis], state
        )
        drawn = sampling.sample(
            logits[:, 0], state["position"], settings, self._banned
        )
        return drawn, state


def _banned_ids(tokenizer: Tokenizer, allow_end: bool) -> np.ndarray:
    """bool[V], True for the ids that are never generated."""
    banned = np.zeros(tokenizer.vocabulary_size, bool)
    banned[[tokenizer.pad_id, tokenizer.unk_id, tokenizer.start_id]] = True
    banned[tokenizer.end_id] = not allow_end
    return banned
