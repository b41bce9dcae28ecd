"""Text -> ids on disk -> batches of (inputs, targets, weights) [B,T]."""

from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.lanes import Lanes
from tflm.pipelines.token_store import TokenStore, prepare
from tflm.pipelines.windows import Windows

__all__ = [
    "Examples",
    "Lanes",
    "TokenStore",
    "Windows",
    "make_examples",
    "prepare",
]
