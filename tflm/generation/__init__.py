"""Strings in, strings out: text from a model, in Python and exported."""

from tflm.generation.export import export
from tflm.generation.generator import Generator, in_float32
from tflm.generation.one_step import OneStep
from tflm.generation.saved_generator import SavedGenerator, is_saved_model
from tflm.generation.settings import GenerationSettings
from tflm.generation.text_generator import TextGenerator

__all__ = [
    "GenerationSettings",
    "Generator",
    "OneStep",
    "SavedGenerator",
    "TextGenerator",
    "export",
    "in_float32",
    "is_saved_model",
]
