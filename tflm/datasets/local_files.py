"""Local files as sources of documents."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from tflm import config as configuration
from tflm.datasets import files, rows
from tflm.datasets.documents import Document, PlainText, Row, Source


def open_sources(
    config: configuration.DataConfig,
) -> tuple[str, dict[str, Source]]:
    """Opens the files that `config` names, and reads them once to check them.

    Args:
        config: `train_file` must be given.

    Returns:
        The training files' name, and the documents of each split that has
        files of its own, read from the start at every call.

    Raises:
        FileNotFoundError, IsADirectoryError, ValueError: As `load` says.
    """
    found = files.find(config)
    sources: dict[str, Source] = {}
    for split, members in found.items():
        source = FileDocuments(members, config)
        source.check()
        sources[split] = source
    return _name(found["train"]), sources


class FileDocuments:
    """The documents of some files, one file after the other.

    Args:
        members: The files.
        config: How to read them, and how much of them.
    """

    def __init__(
        self, members: list[files.TextFile], config: configuration.DataConfig
    ) -> None:
        self.members = members
        self.config = config
        self._documents = [_documents(file, config) for file in members]

    def __call__(self) -> Iterator[Document]:
        """Reads the documents from the start."""
        every = itertools.chain.from_iterable(self._documents)
        return itertools.islice(every, self.config.max_documents)

    def check(self) -> None:
        """Reads all that is going to be read; raises where it cannot be.

        Raises:
            ValueError: If a file cannot be read, or has no text.
        """
        left = self.config.max_documents
        for file, documents in zip(self.members, self._documents, strict=True):
            count = characters = 0
            for document in itertools.islice(documents, left):
                count += 1
                characters += document.length
            if not characters:
                raise file.error("must hold text", "It has none")
            if left is not None:
                left -= count
                if not left:
                    return


class _Rows:
    """The documents of a CSV or JSON file."""

    def __init__(
        self, file: files.TextFile, config: configuration.DataConfig
    ) -> None:
        self.file = file
        self.config = config

    def __iter__(self) -> Iterator[Document]:
        most = self.config.max_document_characters
        for text in rows.texts(self.file, self.config):
            yield Row(text).shortened(most)


def _documents(
    file: files.TextFile, config: configuration.DataConfig
) -> Iterable[Document]:
    if file.kind in rows.READERS:
        return _Rows(file, config)
    return [PlainText(file, config.max_document_characters)]


def _name(members: list[files.TextFile]) -> str:
    first = Path(members[0].name).name
    others = len(members) - 1
    return f"{first} and {others} more" if others else first
