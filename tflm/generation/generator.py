"""What one step and a whole text have in common.

Axes: B batch, (T) tokens of a row, ragged, C tokens of a chunk, V vocabulary,
U whatever a state tensor holds for a row.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tflm import sampling
from tflm.generation.settings import GenerationSettings
from tflm.models import LanguageModel, State
from tflm.tokenizers import Tokenizer

# Tokens of a prompt read at once: long prompts need no more memory than this.
CHUNK = 256
# The settings that a step takes; a text takes `max_new_tokens` besides.
STEP_SETTINGS = ("temperature", "top_k", "top_p", "seed")


class Generator(tf.Module):
    """A model, its tokenizer and the settings that hold by default.

    It computes in float32. A model of another precision is copied for that,
    so that its later training is not seen.

    Args:
        model: A `LanguageModel`.
        tokenizer: The `Tokenizer` of the model's ids.
        settings: Optional `GenerationSettings`. Default: their defaults.
        allow_end: bool. False where training had no END target: then END is
            never generated. Default True.

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
        super().__init__()
        if model.vocabulary_size != tokenizer.vocabulary_size:
            raise ValueError(
                "`tokenizer` must be the one that the model was trained with: "
                "it must have as many ids. Received: "
                f"tokenizer.vocabulary_size={tokenizer.vocabulary_size}, "
                f"model.vocabulary_size={model.vocabulary_size}"
            )
        self.model = in_float32(model)
        self.tokenizer = tokenizer
        self.settings = settings or GenerationSettings()
        self.allow_end = allow_end
        self._banned = _banned_ids(tokenizer, allow_end)

    def tensors(self, settings: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Settings by name as tensors of their types, defaults for None."""
        tensors = {}
        for name, value in settings.items():
            value = getattr(self.settings, name) if value is None else value
            dtype = sampling.SETTINGS[name].dtype
            tensors[name] = tf.convert_to_tensor(value, dtype)
        return tensors

    def _read(
        self, ids: tf.RaggedTensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Reads all but each row's last id, which is returned.

        The logits of these positions are used by nobody, so that the graph
        leaves out their computation.
        """
        last = ids[:, -1:].to_tensor(shape=[None, 1])[:, 0]  # [B]
        ids = ids[:, :-1]
        lengths = tf.cast(ids.row_lengths(), tf.int32)[:, tf.newaxis]  # [B,1]
        padded = ids.to_tensor()  # [B,T]

        def read_chunk(start: tf.Tensor, state: State) -> tuple:
            chunk = padded[:, start : start + CHUNK]  # [B,C]
            positions = start + tf.range(tf.shape(chunk)[1])  # [C]
            mask = positions < lengths  # [B,C]
            return start + CHUNK, self._call(chunk, mask, state)[1]

        _, state = tf.while_loop(
            lambda start, _: start < tf.shape(padded)[1],
            read_chunk,
            (tf.constant(0), state),
        )
        return last, state

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

    def _call(
        self, ids: tf.Tensor, mask: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        logits, after = self.model(
            ids,
            mask=mask,
            initial_state=state,
            return_state=True,
            training=False,
        )
        # A loop needs its state to keep its shapes.
        shaped = {
            name: tf.ensure_shape(after[name], tensor.shape)
            for name, tensor in state.items()
        }
        return logits, shaped


def in_float32(model: LanguageModel) -> LanguageModel:
    """The model itself if it computes in float32, else a copy that does.

    >>> from tflm.models import GRU
    >>> model = GRU(vocabulary_size=5, units=2, dtype="mixed_bfloat16")
    >>> in_float32(model).compute_dtype
    'float32'
    """
    if model.compute_dtype == model.variable_dtype == "float32":
        return model
    copy = type(model).from_config({**model.get_config(), "dtype": "float32"})
    copy.set_weights(model.get_weights())
    return copy


def _banned_ids(tokenizer: Tokenizer, allow_end: bool) -> np.ndarray:
    """bool[V], True for the ids that are never generated."""
    banned = np.zeros(tokenizer.vocabulary_size, bool)
    banned[[tokenizer.pad_id, tokenizer.unk_id, tokenizer.start_id]] = True
    banned[tokenizer.end_id] = not allow_end
    return banned
