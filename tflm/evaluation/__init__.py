"""How good a model is: sums and counts, divided once."""

from tflm.evaluation.compression import xz_bits_per_byte
from tflm.evaluation.score import Score
from tflm.evaluation.scorer import Scorer

__all__ = ["Score", "Scorer", "xz_bits_per_byte"]
