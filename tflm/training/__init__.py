"""Runs: from settings to a directory that holds a trained model."""

from tflm.training.counting import CountingSession
from tflm.training.run_directory import RunDirectory, free_name, newest
from tflm.training.session import Session, begin, resume
from tflm.training.trained_model import TrainedModel, load

__all__ = [
    "CountingSession",
    "RunDirectory",
    "Session",
    "TrainedModel",
    "begin",
    "free_name",
    "load",
    "newest",
    "resume",
]
