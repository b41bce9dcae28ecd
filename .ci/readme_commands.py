"""Prints commands of README.md as a shell script: `test`, or `shell`.

    readme_commands.py README.md test
    readme_commands.py README.md shell --bound="--max_steps 9" --size="..."

`test` is the block marked as the test command. `shell` is all other shell
blocks but those marked as not run, and the Python blocks that need them. Each
training command gets the flags that make it small; one that resumes a run gets
the bound alone. The environment is there already: what makes it is left out.
"""

import argparse
import re
from pathlib import Path

from fenced_blocks import (
    AFTER_COMMANDS,
    NOT_RUN,
    TEST_COMMAND,
    fenced_blocks,
)

_ENVIRONMENT = ".venv/bin/"
_TRAIN = re.compile(r"(python -m tflm\.train|tflm train)\b")


def main() -> None:
    """Prints the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readme", type=Path)
    parser.add_argument("which", choices=["test", "shell"])
    parser.add_argument("--bound", default="")
    parser.add_argument("--size", default="")
    parsed = parser.parse_args()
    blocks = fenced_blocks(parsed.readme, "bash", "python")
    if parsed.which == "test":
        (block,) = (b for b in blocks if b.marker == TEST_COMMAND)
        print(block.text.strip())
        return
    for block in blocks:
        if block.language == "python":
            if block.marker == AFTER_COMMANDS:
                print(f"python - <<'END'\n{block.text}END")
        elif block.marker not in (NOT_RUN, TEST_COMMAND):
            for command in _commands(block.text):
                print(_small(command, parsed.bound, parsed.size))


def _commands(text: str) -> list[str]:
    """The lines, each with the lines that a backslash joins to it."""
    return text.replace("\\\n", " ").splitlines()


def _small(command: str, bound: str, size: str) -> str:
    command = command.rpartition(_ENVIRONMENT)[2]
    if not _TRAIN.match(command):
        return command
    command, hash_sign, comment = command.partition("  # ")
    flags = bound if "--resume" in command else f"{bound} {size}"
    return f"{command} {flags}{hash_sign}{comment}"


if __name__ == "__main__":
    main()
