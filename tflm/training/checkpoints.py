"""Checkpoints from which a run goes on exactly, written beside and renamed."""

import contextlib
import hashlib
import os
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm import writing

_KEPT = 2  # the newest, and one to fall back on
_PREFIX = "step_"
# What a checkpoint raises that is not as it was written.
_BROKEN = (OSError, ValueError, KeyError)


class Checkpoints:
    """The checkpoints of a run, one folder a step.

    A checkpoint holds every variable of the model (the seeds of dropout too)
    and of the optimizer, and the loop's own state as JSON.

    Args:
        directory: Folder of the checkpoints.
        model: Keras model, built.
        optimizer: Its Keras optimizer, built.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        model: keras.Model,
        optimizer: keras.Optimizer,
    ):
        self.directory = Path(directory)
        self.variables = [*model.variables, *optimizer.variables]

    def add(self, variables: Iterable[tf.Variable]) -> None:
        """Keeps more variables, such as a state carried between batches."""
        self.variables.extend(variables)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Writes the checkpoint of a step and removes those grown old.

        Args:
            step: int. Steps taken.
            state: Plain JSON values.
        """
        path = self.directory / f"{_PREFIX}{step:08d}"
        if path.exists():
            shutil.rmtree(path)
        with writing.new_directory(path) as beside:
            arrays = {
                f"{index:04d}": keras.ops.convert_to_numpy(variable)
                for index, variable in enumerate(self.variables)
            }
            np.savez(beside / "variables.npz", allow_pickle=False, **arrays)
            digest = _digest(beside / "variables.npz")
            saved = {"step": step, "sha256": digest, "state": state}
            writing.write_json(beside / "state.json", saved)
        for old in self._paths()[:-_KEPT]:
            shutil.rmtree(old)

    def restore(self) -> dict[str, Any] | None:
        """Sets the variables to the newest whole checkpoint's.

        A broken checkpoint is set aside with a warning, so that it does not
        count among the newest; what a write that was cut off has left is
        removed.

        Returns:
            The state that was saved with it; None where there is no whole
            checkpoint.
        """
        for left in self.directory.glob(f".{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        paths = self._paths()
        while paths:
            path = paths.pop()
            try:
                return self._restore(path)
            except _BROKEN as error:
                aside = path.with_name(f"broken_{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
                then = "taking the one before it"
                if not paths:
                    then = "there is none before it: the run begins anew"
                warnings.warn(
                    f"checkpoint {path} is broken ({error}), now {aside.name}; "
                    f"{then}",
                    stacklevel=2,
                )
        return None

    def _restore(self, path: Path) -> dict[str, Any]:
        saved = _saved(path)
        with np.load(path / "variables.npz") as arrays:
            if len(arrays.files) != len(self.variables):
                raise ValueError(
                    f"{len(arrays.files)} variables for {len(self.variables)}"
                )
            values = [arrays[name] for name in sorted(arrays.files)]
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        return saved["state"]

    def _paths(self) -> list[Path]:
        return sorted(self.directory.glob(f"{_PREFIX}*"))


def has_whole(directory: Path) -> bool:
    """Whether a folder of checkpoints has one that is as it was written."""
    for path in directory.glob(f"{_PREFIX}*"):
        with contextlib.suppress(*_BROKEN):
            _saved(path)
            return True
    return False


def _saved(path: Path) -> dict[str, Any]:
    """The JSON of a checkpoint whose variables are those that were written."""
    saved = writing.read_json(path / "state.json")
    if _digest(path / "variables.npz") != saved["sha256"]:
        raise ValueError("variables.npz is not what was written")
    return saved


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
