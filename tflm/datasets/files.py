"""Local files: finding them, and reading their text exactly as it stands."""

import atexit
import codecs
import contextlib
import dataclasses
import difflib
import encodings.aliases
import glob
import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from tflm import config as configuration

CHUNK_CHARACTERS = 2**20

_STANDARD_INPUT = "-"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclasses.dataclass(frozen=True)
class TextFile:
    """A file of text, perhaps compressed (`.gz`).

    Args:
        setting: The setting that names the file, for messages.
        name: The file's name as it was given, for messages and its ending.
        path: Where its bytes are.
        encoding: How they are to be decoded. Default "utf-8"; a byte order
            mark of UTF-8 at the start is dropped.
    """

    setting: str
    name: str
    path: Path
    encoding: str = "utf-8"

    @property
    def kind(self) -> str:
        """The ending in small letters, `.gz` left aside."""
        name = Path(self.name.lower())
        return Path(name.stem).suffix if name.suffix == ".gz" else name.suffix

    def chunks(self) -> Iterator[str]:
        """The text in strings of at most `CHUNK_CHARACTERS`."""
        with self.open() as text:
            while chunk := text.read(CHUNK_CHARACTERS):
                if not chunk.isascii():
                    chunk.encode()  # Some codecs let lone surrogates through.
                yield chunk

    def texts(self, whole: bool = False) -> list[str]:
        """The lines that hold something, or all of it as one text.

        Raises:
            ValueError: If there is none.
        """
        text = "".join(self.chunks())
        lines = [text] if whole else text.split("\n")
        found = [line.removesuffix("\r") for line in lines if line.strip()]
        if not found:
            raise self.error("must hold text", "It has none")
        return found

    @contextlib.contextmanager
    def open(self) -> Iterator[TextIO]:
        """Opens the text; what is wrong with it becomes one clear line."""
        name = codecs.lookup(self.encoding).name
        encoding = "utf-8-sig" if name == "utf-8" else self.encoding
        with (
            self._open_bytes() as binary,
            # An empty `newline` leaves line ends as they are.
            io.TextIOWrapper(binary, encoding=encoding, newline="") as text,
        ):
            try:
                yield text
            except UnicodeDecodeError as error:
                # What the decoder was given last ends where reading stands.
                offset = binary.tell() - len(error.object) + error.start
                marked = error.object.startswith(_UTF_16_MARKS)
                likely = "utf-16" if marked else "latin-1"
                raise self.error(
                    f"must be text in {self.encoding}",
                    f"Byte 0x{error.object[error.start]:02x} at offset "
                    f"{offset} is not. Name its encoding with --encoding, "
                    f"such as --encoding={likely}",
                ) from None
            except UnicodeEncodeError as error:
                code = ord(error.object[error.start])
                raise self.error(
                    "must hold whole characters",
                    f"U+{code:04X} is a surrogate without its other half",
                ) from None
            except UnicodeError as error:  # such as UTF-16 without its mark
                raise self.error(
                    f"must be text in {self.encoding}",
                    f"{error}. Name its encoding with --encoding",
                ) from None
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise self.error(
                    "must be a whole gzip file where its name ends in .gz",
                    str(error),
                ) from None

    def error(self, rule: str, remedy: str) -> ValueError:
        """The error for text that breaks a rule.

        Args:
            rule: What the file must be, after its setting's name.
            remedy: What is wrong and what to do.
        """
        return ValueError(_message(self.setting, rule, self.name, remedy))

    def _open_bytes(self) -> BinaryIO:
        if self.name.lower().endswith(".gz"):
            return cast(BinaryIO, gzip.open(self.path, "rb"))
        return self.path.open("rb")


def find(config: configuration.DataConfig) -> dict[str, list[TextFile]]:
    """The files that `config` names.

    Args:
        config: Its `train_file`, `validation_file`, `test_file` hold paths,
            globs, or `-` for standard input, which is kept in a temporary
            file (pipes too) so that it can be read again.

    Returns:
        The files of each split that has any; a glob's in sorted order.

    Raises:
        FileNotFoundError: If there is no such file; names the closest.
        IsADirectoryError: If a folder stands where a file should.
        ValueError: If the encoding is unknown, or `-` is given twice.
    """
    settings = {
        "train": ("train_file", config.train_file),
        "validation": ("validation_file", config.validation_file),
        "test": ("test_file", config.test_file),
    }
    given = [name for _, names in settings.values() for name in names]
    if given.count(_STANDARD_INPUT) > 1:
        raise ValueError(
            "`train_file`, `validation_file` and `test_file` may name "
            "standard input once. Received: "
            + " ".join(
                f"{key}={','.join(names)}" for key, names in settings.values()
            )
        )
    return {
        split: [
            file
            for pattern in patterns
            for file in matching(setting, pattern, config.encoding)
        ]
        for split, (setting, patterns) in settings.items()
        if patterns
    }


def matching(
    setting: str, pattern: str, encoding: str = "utf-8"
) -> Iterator[TextFile]:
    """The files that one path, glob or `-` names, see `find`.

    Args:
        setting: What an error calls it, such as "train_file".
        pattern: What was given.
        encoding: Of the files. Default "utf-8".

    Yields:
        The files, at least one.

    Raises:
        FileNotFoundError, IsADirectoryError, ValueError: As `find` does.
    """
    _check_encoding(encoding)
    if pattern == _STANDARD_INPUT:
        copy = _kept(sys.stdin.buffer)
        yield TextFile(setting, pattern, copy, encoding)
        return
    for path in _paths(setting, pattern):
        if path.is_file():
            yield TextFile(setting, str(path), path, encoding)
        else:
            with path.open("rb") as pipe:
                yield TextFile(setting, str(path), _kept(pipe), encoding)


def _check_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding)
    except (LookupError, ValueError):
        names = {*encodings.aliases.aliases.values(), "utf-8"}
        # These turn bytes into bytes, or text into text.
        known = [n for n in names if not n.endswith(("_codec", "rot_13"))]
        close = difflib.get_close_matches(encoding.lower(), sorted(known), n=1)
        raise ValueError(
            "`encoding` must be a text encoding that Python knows. Received: "
            f"encoding={encoding}. "
            + (f"Did you mean {close[0]!r}?" if close else "Such as utf-8")
        ) from None


def _paths(setting: str, pattern: str) -> list[Path]:
    """The files that a path or a glob names, at least one."""
    path = Path(pattern).expanduser()
    if path.is_dir():
        remedy = f"To read its files, write {path / '*'}"
        raise IsADirectoryError(
            _message(setting, "must name a file, not a folder", pattern, remedy)
        )
    if path.exists():
        return [path]
    if glob.has_magic(pattern):
        # `Path.glob` takes no absolute pattern.
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207
        found = sorted(map(Path, matches))
        if files := [match for match in found if not match.is_dir()]:
            return files
        rule = "must match a file"
    else:
        rule = "must name a file that exists"
    raise FileNotFoundError(_message(setting, rule, pattern, _closest(path)))


def _closest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}"
    names = sorted(entry.name for entry in path.parent.iterdir())
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f"Did you mean {str(path.with_name(close[0]))!r}?"
    return f"Nothing in {path.parent} has a name close to it"


def _kept(stream: BinaryIO) -> Path:
    """A temporary copy, until Python ends, of what can be read only once."""
    handle, copy = tempfile.mkstemp(prefix="tflm-")
    atexit.register(Path(copy).unlink, missing_ok=True)
    with os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(stream, target)
    return Path(copy)


def _message(setting: str, rule: str, name: str, remedy: str) -> str:
    return f"`{setting}` {rule}. Received: {setting}={name}. {remedy}"
