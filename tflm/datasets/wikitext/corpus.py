"""WikiText as it is published: an archive, or the folder extracted from it."""

import contextlib
import dataclasses
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

# What each split is called in the names of the files.
SPLITS = {"train": "train", "validation": "valid", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The three files of one WikiText.

    Args:
        name: Such as "wikitext-2-raw".
        path: The archive, or the folder with the files.
    """

    name: str
    path: Path

    def lines(self, split: str) -> Iterator[bytes]:
        """The lines of a split's file, each with its newline, streamed.

        Args:
            split: A key of `SPLITS`.

        Raises:
            ValueError: While iterating, if the archive is damaged.
        """
        with (
            self._opened() as folder,
            (folder / file_name(self.name, split)).open("rb") as file,
        ):
            yield from file

    def check(self) -> None:
        """Looks for all that is going to be read.

        Raises:
            ValueError: If it is not a whole WikiText, or its archive has a
                member that would be extracted to another place.
        """
        with self._opened() as folder:
            if isinstance(folder, zipfile.Path):
                for member in folder.root.namelist():
                    if _leads_outside(member):
                        raise self._error(
                            f"its member {member!r} leads outside of it"
                        )
            for split in SPLITS:
                name = file_name(self.name, split)
                if not (folder / name).is_file():
                    raise self._error(f"it lacks {self.name}/{name}")
                with (folder / name).open("rb") as file:
                    if not file.read(1):
                        raise self._error(f"{self.name}/{name} is empty")

    def digest(self) -> str:
        """Twenty hexadecimal digits that name its content."""
        content = hashlib.sha256()
        files = [self.path]
        if self.path.is_dir():
            names = [file_name(self.name, split) for split in SPLITS]
            files = [self.path / name for name in names]
        for path in files:
            with path.open("rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        return content.hexdigest()[:20]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Path | zipfile.Path]:
        """The folder of the files, in the archive or on disk."""
        if self.path.is_dir():
            yield self.path
            return
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield zipfile.Path(archive) / self.name
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise self._error(f"it is damaged ({error})") from None
        except RuntimeError as error:  # It is encrypted, or of another kind.
            raise self._error(f"it cannot be read ({error})") from None

    def _error(self, wrong: str) -> ValueError:
        return ValueError(
            f"`data_dir` must hold the whole of {self.name}. Received: "
            f"{self.path}, but {wrong}. Download {archive_name(self.name)} "
            "again"
        )


def find(directory: Path, name: str) -> Corpus | None:
    """Looks for the archive, then for the extracted folder.

    Args:
        directory: The folder that holds them, or the extracted one itself.
        name: Such as "wikitext-2-raw".

    Returns:
        The `Corpus`, which may be incomplete; None if nothing of it is there.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "wikitext-2-v1.zip").write_bytes(b"")
    ...     find(Path(folder), "wikitext-2").path.name
    'wikitext-2-v1.zip'
    """
    archive = directory / archive_name(name)
    if archive.is_file():
        return Corpus(name, archive)
    folders = [directory / name]
    # The files of WikiText-2 and WikiText-103 have the same names.
    if directory.resolve().name == name:
        folders.append(directory)
    for folder in folders:
        if any((folder / file_name(name, split)).is_file() for split in SPLITS):
            return Corpus(name, folder)
    return None


def archive_name(name: str) -> str:
    """The archive's name.

    Args:
        name: Such as "wikitext-2-raw".

    >>> archive_name("wikitext-2-raw")
    'wikitext-2-raw-v1.zip'
    """
    return f"{name}-v1.zip"


def file_name(name: str, split: str) -> str:
    """The name of a split's file.

    Args:
        name: Such as "wikitext-2-raw".
        split: A key of `SPLITS`.

    >>> file_name("wikitext-2-raw", "validation")
    'wiki.valid.raw'
    """
    kind = "raw" if name.endswith("-raw") else "tokens"
    return f"wiki.{SPLITS[split]}.{kind}"


def _leads_outside(member: str) -> bool:
    """Whether some system would extract it outside of the folder."""
    path = PureWindowsPath(member)  # takes both kinds of slashes
    return bool(
        path.anchor or ".." in path.parts or PurePosixPath(member).is_absolute()
    )
