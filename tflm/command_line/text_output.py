"""Generated texts as a command prints them."""

import collections
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

_RULE = "-" * 40
# Unknown pieces that are named one by one.
_NAMED = 10


def print_json(row: dict[str, Any], unknown: Sequence[str]) -> None:
    """Prints a text with all that is known of it, as one JSON object.

    Args:
        row: `text`, `prompt`, and `score` or `steps` if there are any.
        unknown: The unknown pieces of its prompt.
    """
    steps = row.get("steps", [])
    shown = {**row, "unknown": dict(collections.Counter(unknown))}
    if steps:
        shown["steps"] = [[_figures(c) for c in step] for step in steps]
    print(json.dumps(shown, ensure_ascii=False))


def print_text(row: dict[str, Any], *, first: bool) -> None:
    """Prints a text for readers, behind a table of each step if there is one.

    Args:
        row: As `print_json` takes it.
        first: bool. Whether no text stands before it.
    """
    if not first:
        print(_RULE)
    for number, step in enumerate(row.get("steps", []), 1):
        print(_table(number, step))
    print(row["text"])


def report_unknown(unknown: Sequence[Sequence[str]], how: str) -> None:
    """Says on standard error which pieces are unknown, and how many.

    Args:
        unknown: The unknown pieces of each prompt.
        how: What is done with them.
    """
    counts = collections.Counter(piece for row in unknown for piece in row)
    if not counts:
        return
    named = [
        repr(piece) + (f" ({count} times)" if count > 1 else "")
        for piece, count in counts.most_common(_NAMED)
    ]
    more = len(counts) - len(named)
    print(
        f"unknown pieces in the prompts: {counts.total()}, "
        + ", ".join(named)
        + (f" and {more} more" if more else "")
        + f" (on_oov: {how})",
        file=sys.stderr,
    )


def _figures(choice: Any) -> dict[str, Any]:
    token = choice.text.decode("utf-8", "replace")
    return {**dataclasses.asdict(choice), "text": token}


def _table(number: int, step: Sequence[Any]) -> str:
    """The choices of one step, the one drawn with an arrow before it."""
    lines = [f"{number:4}     raw  filtered"]
    for choice in step:
        token = repr(choice.text.decode("utf-8", "replace"))
        lines.append(
            f"{'->' if choice.drawn else '':>4} {choice.raw:7.4f} "
            f"{choice.filtered:9.4f}  {'(end)' if choice.is_end else token}"
        )
    return "\n".join(lines)
