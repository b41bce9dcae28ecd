"""ids [B,T] -> logits [B,T,V]: Keras models with one interface for state."""

import keras

from tflm import config
from tflm.models.gpt import GPT
from tflm.models.language_model import LanguageModel, State
from tflm.models.ngram import NGram
from tflm.models.recurrent import GRU, LSTM, SimpleRNN
from tflm.models.row_shares import part_count, side_by_side
from tflm.models.steps import Steps

if keras.backend.backend() != "tensorflow":
    raise RuntimeError(
        "tflm needs Keras on TensorFlow: set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is imported. "
        f"Received: backend={keras.backend.backend()!r}"
    )

KINDS: dict[str, type[LanguageModel]] = {
    "gpt": GPT,
    "gru": GRU,
    "lstm": LSTM,
    "ngram": NGram,
    "simple_rnn": SimpleRNN,
}

__all__ = [
    "GPT",
    "GRU",
    "KINDS",
    "LSTM",
    "LanguageModel",
    "NGram",
    "SimpleRNN",
    "State",
    "Steps",
    "build",
    "part_count",
    "side_by_side",
]


def build(
    settings: config.ModelConfig, vocabulary_size: int, dtype: str = "float32"
) -> LanguageModel:
    """Makes the model that the settings describe, with fresh weights.

    Args:
        settings: Kind and shape.
        vocabulary_size: int. Number of ids.
        dtype: Keras dtype policy, such as "mixed_bfloat16".

    Returns:
        The model, its weights made.

    Example:
    >>> build(config.ModelConfig(units=8), vocabulary_size=20).units
    8
    """
    kind = KINDS[settings.model]
    chosen = {name: getattr(settings, name) for name in kind.settings}
    return kind(vocabulary_size=vocabulary_size, dtype=dtype, **chosen)
