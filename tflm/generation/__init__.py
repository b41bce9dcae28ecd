"""Strings in, strings out: text from a model, in Python and exported."""

from tflm.generation.beam_generator import NOTHING, BeamGenerator
from tflm.generation.choice_table import Choice, ChoiceTable
from tflm.generation.draft import Draft
from tflm.generation.export import export
from tflm.generation.generator import Generator
from tflm.generation.one_step import OneStep
from tflm.generation.readable import readable
from tflm.generation.reader import Reader, as_lists, in_precision
from tflm.generation.saved_model import SavedModel, is_saved_model
from tflm.generation.streaming import stream
from tflm.generation.surprisal_picture import (
    html_picture,
    terminal_legend,
    terminal_picture,
)
from tflm.generation.text_generator import TextGenerator
from tflm.generation.text_scorer import TextScorer
from tflm.generation.token_surprisal import TokenSurprisal
from tflm.generation_settings import GenerationSettings

__all__ = [
    "NOTHING",
    "BeamGenerator",
    "Choice",
    "ChoiceTable",
    "Draft",
    "GenerationSettings",
    "Generator",
    "OneStep",
    "Reader",
    "SavedModel",
    "TextGenerator",
    "TextScorer",
    "TokenSurprisal",
    "as_lists",
    "export",
    "html_picture",
    "in_precision",
    "is_saved_model",
    "readable",
    "stream",
    "terminal_legend",
    "terminal_picture",
]
