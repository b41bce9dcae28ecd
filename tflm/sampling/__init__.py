"""From logits [B,V] to the ids [B] of the next tokens; no model, no text."""

from tflm.sampling.draw import draw, greedy, sample
from tflm.sampling.filters import (
    ban,
    filter_logits,
    keep_top_k,
    keep_top_p,
    scale,
)
from tflm.sampling.seeds import row_seeds
from tflm.sampling.settings import (
    SETTINGS,
    RowSettings,
    checked_rows,
    row_settings,
)

__all__ = [
    "SETTINGS",
    "RowSettings",
    "ban",
    "checked_rows",
    "draw",
    "filter_logits",
    "greedy",
    "keep_top_k",
    "keep_top_p",
    "row_seeds",
    "row_settings",
    "sample",
    "scale",
]
