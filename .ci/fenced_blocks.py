"""The fenced blocks of a Markdown file, and the comment that marks each."""

import re
from pathlib import Path
from typing import NamedTuple

NOT_RUN = "not run"
TEST_COMMAND = "test command"
# A Python block that uses what the shell blocks before it have made.
AFTER_COMMANDS = "after the commands"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]*?) -->\n+)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block.

    The marker is what stands in an HTML comment of its own before it, as in
    `<!-- not run -->`, else "".
    """

    marker: str
    language: str
    text: str


def fenced_blocks(path: Path, *languages: str) -> list[Block]:
    """The blocks of a Markdown file in these languages, in their order."""
    found = _BLOCK.finditer(path.read_text("utf-8"))
    blocks = [Block(m["marker"] or "", m["language"], m["text"]) for m in found]
    return [block for block in blocks if block.language in languages]
