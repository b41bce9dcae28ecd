"""The directory of a run: one directory is one model."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import keras

from tflm import __version__, tokenizers, writing
from tflm import config as configuration
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
        if not (run.path / "config.json").is_file():
            raise FileNotFoundError(
                "`run` must be the directory of a run, with its config.json. "
                f"Received: run={os.fspath(path)!r}. Runs here: "
                f"{', '.join(str(p) for p in _runs(RUNS)) or 'none'}"
            )
        return run

    def check_free(self) -> None:
        """Raises `FileExistsError` if there is something in the way."""
        if self.path.exists():
            raise FileExistsError(
                "a run directory is never written over. "
                f"Received: run_dir={self.path}. Continue that run with "
                "--resume, or give another --run_dir"
            )

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
        return json.loads((self.path / "data_fingerprint.json").read_text())

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        return tokenizers.load(self.path / "tokenizer")

    @property
    def _config(self) -> dict[str, Any]:
        return json.loads((self.path / "config.json").read_text())


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
    """`root/name`, or `root/name-2` and so on where that is taken."""
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
