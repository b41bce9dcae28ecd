"""tflm: train, judge, export and serve small language models on Keras 3."""

import importlib
from typing import Any

__version__ = "0.1.0"

# The stages, and `load`, are imported when they are first used, so that
# `import tflm` costs nothing and `--help` answers at once.
_STAGES = (
    "config",
    "datasets",
    "tokenizers",
    "pipelines",
    "layers",
    "models",
    "evaluation",
    "sampling",
    "generation",
    "serving",
    "training",
    "inspection",
)

__all__ = ["__version__", "load", *_STAGES]


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("tflm.training.trained_model").load
    if name in _STAGES:
        return importlib.import_module(f"tflm.{name}")
    raise AttributeError(f"module 'tflm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
