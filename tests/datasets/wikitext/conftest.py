import zipfile

import pytest

# Characters that other readers of lines would break at, both kinds of blank
# line, a formula's line that looks like a heading, a file without a last
# newline, one that begins with its heading.
FILES = {
    "train": (
        " \n = One = \n \n <unk> met 日本語 \u2028 🦜 \x0c e\u0301 . \n"
        " \n = = Section = = \n \n = = = Deeper = = = \n The sum \n"
        " = 1 + x = \n is odd . \n \n"
        " = Two ( song ) = \n\n = = = = \n a = b = c \n \n"
        " = Three = \n"
    ),
    "validation": " = Four = \n \n Words . \r\n \n = Five = \n \n Last words",
    "test": " \n \n = Six = \n \n Text . \n \n",
}
TITLES = {
    "train": ["One", "Two ( song )", "Three"],
    "validation": ["Four", "Five"],
    "test": ["Six"],
}
NAMES = {"train": "train", "validation": "valid", "test": "test"}


@pytest.fixture(scope="session")
def files():
    """The content of each split's file."""
    return {split: text.encode() for split, text in FILES.items()}


@pytest.fixture(scope="session")
def titles():
    """The titles of each split's articles."""
    return TITLES


@pytest.fixture(scope="session")
def members():
    """Makes the members of an archive, by name."""

    def make(name="wikitext-2", files=FILES):
        kind = "raw" if name.endswith("raw") else "tokens"
        return {
            f"{name}/wiki.{NAMES[split]}.{kind}": text
            for split, text in files.items()
        }

    return make


@pytest.fixture(scope="session")
def write_archive(members):
    """Writes an archive, by default a small WikiText-2."""

    def write(path, members=members()):  # noqa: B008
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for folder in {name.split("/")[0] for name in members}:
                if folder.startswith("wikitext"):
                    archive.writestr(f"{folder}/", "")
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return write


@pytest.fixture(scope="session")
def write_folder(members):
    """Writes what an archive extracts to."""

    def write(parent, members=members()):  # noqa: B008
        for name, content in members.items():
            (parent / name).parent.mkdir(parents=True, exist_ok=True)
            content = content.encode() if isinstance(content, str) else content
            (parent / name).write_bytes(content)

    return write
