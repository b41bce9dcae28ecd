"""From logits [B,V] to the ids [B] of the next tokens; no model, no text."""

from tflm.sampling.beam_search import Beams, Rules, beam_search
from tflm.sampling.constraints import Constraints
from tflm.sampling.draw import draw, draw_by, greedy, sample
from tflm.sampling.filters import (
    ban,
    filter_logits,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    scale,
)
from tflm.sampling.seeds import row_seeds
from tflm.sampling.settings import (
    SETTINGS,
    RowSettings,
    as_tensor,
    checked_rows,
    row_settings,
)
from tflm.sampling.uniforms import uniforms

__all__ = [
    "SETTINGS",
    "Beams",
    "Constraints",
    "RowSettings",
    "Rules",
    "as_tensor",
    "ban",
    "beam_search",
    "checked_rows",
    "draw",
    "draw_by",
    "filter_logits",
    "greedy",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "row_seeds",
    "row_settings",
    "sample",
    "scale",
    "uniforms",
]
