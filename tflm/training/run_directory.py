"""The directory of a run: one directory is one model."""

import contextlib
import dataclasses
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from tflm import __version__, tokenizers, writing
from tflm import config as configuration
from tflm.generation import is_saved_model
from tflm.tokenizers import Tokenizer

RUNS = "runs"


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Where the files of a run stand.

    Attributes:
        path: The directory.
    """

    path: Path

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        config: configuration.Config,
        tokenizer: Tokenizer,
        fingerprint: dict[str, Any],
        facts: dict[str, Any],
    ) -> "RunDirectory":
        """Makes the directory of a new run, whole or not at all.

        Args:
            path: A name that is not taken.
            config: The resolved settings.
            tokenizer: Trained on the training split.
            fingerprint: What the data is, by hash and count.
            facts: What the settings came to, such as the precision.

        Raises:
            FileExistsError: If there is something at `path`.
        """
        run = cls(Path(path))
        run.check_free()
        with writing.new_directory(run.path) as beside:
            facts = {"tflm": __version__, "keras": keras.__version__, **facts}
            saved = {**config.to_dict(), "resolved": facts}
            writing.write_json(beside / "config.json", saved)
            writing.write_json(beside / "data_fingerprint.json", fingerprint)
            tokenizer.save(beside / "tokenizer")
            for name in ("checkpoints", "tensorboard", "samples"):
                (beside / name).mkdir()
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunDirectory":
        """Opens the directory of a run that exists.

        Raises:
            FileNotFoundError: If it holds no run.
        """
        run = cls(Path(path))
        if not run._config_file.is_file():
            if is_saved_model(run.path):
                raise FileNotFoundError(
                    "`run` must be the directory of a run, not a SavedModel: "
                    "tflm generate and tflm score take both. "
                    f"Received: run={os.fspath(path)!r}"
                )
            raise FileNotFoundError(
                "`run` must be the directory of a run, with its config.json. "
                f"Received: run={os.fspath(path)!r}. Runs here: "
                f"{', '.join(str(p) for p in _runs(RUNS)) or 'none'}"
            )
        return run

    def check_free(self) -> None:
        """Raises `FileExistsError` if there is something in the way."""
        if not self.path.exists():
            return
        ways = "Give another --run_dir"
        if self._config_file.is_file():
            ways = "Continue that run with --resume, or give another --run_dir"
        raise FileExistsError(
            "a run directory is never written over. "
            f"Received: run_dir={self.path}, which exists. {ways}"
        )

    def keep(self, config: configuration.Config) -> None:
        """Rewrites the settings, such as other bounds, if they differ."""
        if config == self.config:
            return
        begun = self._config_file.stat()
        saved = {**config.to_dict(), "resolved": self.facts}
        writing.write_json(self._config_file, saved)
        # The file's time says when the run was begun, see `newest`.
        os.utime(self._config_file, ns=(begun.st_atime_ns, begun.st_mtime_ns))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from training the run meanwhile.

        Raises:
            BlockingIOError: If another one is training it.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                # The system lets go of it when the process ends in any way.
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(
                    "a run is trained by one process at a time. "
                    f"Received: run_dir={self.path}, which another one is "
                    "training. Wait for it, or stop it"
                ) from None
            yield
        finally:
            os.close(handle)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        """Folder of the texts sampled on the way."""
        return self.path / "samples"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: each log step, each evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The best weights, float32."""
        return self.path / "model.keras"

    @property
    def evaluation(self) -> Path:
        """The scores of the best weights."""
        return self.path / "evaluation.json"

    @property
    def card(self) -> Path:
        """The run card."""
        return self.path / "README.md"

    @property
    def facts(self) -> dict[str, Any]:
        """What the settings came to."""
        return self._config["resolved"]

    @property
    def row_parts(self) -> int:
        """Parts of a batch's rows that it began to train on."""
        return self.facts.get("row_parts", 1)

    @property
    def config(self) -> configuration.Config:
        """The resolved settings."""
        groups = {k: v for k, v in self._config.items() if k != "resolved"}
        return configuration.from_dict(groups)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the data was when the run began."""
        return writing.read_json(self.path / "data_fingerprint.json")

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        return tokenizers.load(self.path / "tokenizer")

    @property
    def _config(self) -> dict[str, Any]:
        return writing.read_json(self._config_file)

    @property
    def _config_file(self) -> Path:
        return self.path / "config.json"


def newest(root: str | os.PathLike[str] = RUNS) -> Path:
    """The run that was begun last.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = _runs(root)
    if not runs:
        raise FileNotFoundError(
            f"there is no run in {os.fspath(root)!r}: train one with "
            "`python -m tflm.train`, or name a run"
        )
    return runs[-1]


def free_name(name: str, root: str | os.PathLike[str] = RUNS) -> Path:
    """`root/name`, or `root/name-2` and so on where that is taken.

    Example:
    >>> free_name("tale", root="nowhere").as_posix()
    'nowhere/tale'
    """
    path = Path(root) / name
    number = 2
    while path.exists():
        path = Path(root) / f"{name}-{number}"
        number += 1
    return path


def _runs(root: str | os.PathLike[str]) -> list[Path]:
    configs = Path(root).glob("*/config.json")
    ordered = sorted(configs, key=lambda path: path.stat().st_mtime_ns)
    return [path.parent for path in ordered]
