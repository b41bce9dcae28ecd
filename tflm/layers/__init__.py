"""Keras layers with explicit state."""

from tflm.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN

__all__ = ["GRU", "LSTM", "Recurrent", "SimpleRNN"]
