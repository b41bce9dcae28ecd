"""Keras layers with explicit state."""

from tflm.layers.attention import CachedAttention
from tflm.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from tflm.layers.transformer import TransformerBlock

__all__ = [
    "GRU",
    "LSTM",
    "CachedAttention",
    "Recurrent",
    "SimpleRNN",
    "TransformerBlock",
]
