"""How good a model is: sums and counts, divided once."""

from tflm.evaluation.baselines import Baselines
from tflm.evaluation.bootstrap import interval
from tflm.evaluation.compression import xz_bits_per_byte
from tflm.evaluation.evaluator import Evaluator
from tflm.evaluation.score import Score
from tflm.evaluation.scorer import Scorer
from tflm.evaluation.word_count import count_words

__all__ = [
    "Baselines",
    "Evaluator",
    "Score",
    "Scorer",
    "count_words",
    "interval",
    "xz_bits_per_byte",
]
