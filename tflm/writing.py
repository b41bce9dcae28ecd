"""Files and folders that are whole or not there: write beside, then rename."""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 file in one step: a reader sees the old or the new one.

    Args:
        path: Where the file shall stand; its folder must exist.
        text: The content.
    """
    with new_file(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """`write_text` of a value as indented JSON, Python's way with infinity."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads what `write_json` has written.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # neither JSON nor UTF-8
        raise ValueError(
            f"{os.fspath(path)} must be JSON as it was written, and is "
            f"damaged: {error}"
        ) from None


def finite(value: Any) -> Any:
    """A value in which None stands for each number that is not finite.

    JSON has no such number, and strict readers take none.

    >>> finite({"perplexity": float("inf"), "interval": [1.5, float("nan")]})
    {'perplexity': None, 'interval': [1.5, None]}
    """
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to fill that takes its name only when the block succeeds.

    Args:
        path: Where the file shall stand; its folder must exist.

    Yields:
        The path to write to, a hidden file beside the final one with the same
        suffix. It is removed if the block raises.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix
    )
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only the owner may read.
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill that takes its name only when the block succeeds.

    Args:
        path: The name that the folder takes; it must not exist at the end.

    Yields:
        The path to write into, a hidden folder beside the final one. It is
        removed if the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        yield Path(beside)
        Path(beside).chmod(0o777 & ~_umask())
        Path(beside).rename(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
