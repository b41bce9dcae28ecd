"""Keras layers: recurrent ones like Keras's own, and some with their state."""

from tflm.layers.attention import CachedAttention
from tflm.layers.carried import Carried
from tflm.layers.recurrent import GRU, LSTM, Scanned, SimpleRNN
from tflm.layers.transformer import TransformerBlock

__all__ = [
    "GRU",
    "LSTM",
    "CachedAttention",
    "Carried",
    "Scanned",
    "SimpleRNN",
    "TransformerBlock",
]
