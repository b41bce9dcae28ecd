"""Keras layers: recurrent ones, the same with their state, and the GPT's."""

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
