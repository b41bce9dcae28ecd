"""A comparison on paper: Markdown, CSV, a plot."""

import csv
import dataclasses
import io
import math
import os
from collections.abc import Callable
from typing import Any

from tflm import writing
from tflm.training import drawing
from tflm.training.comparison import Comparison, Row

# Header and text of each column of the table.
_COLUMNS: dict[str, Callable[[Row], str]] = {
    "run": lambda row: row.name,
    "model": lambda row: row.model,
    "tokens": lambda row: row.tokens or "",
    "parameters": lambda row: _number(row.parameters, ",d"),
    "bits/byte": lambda row: _number(row.bits_per_byte, ".4f"),
    "95% interval": lambda row: _interval(row.interval),
    "word perplexity": lambda row: _number(row.word_perplexity, ",.1f"),
    "unknown": lambda row: _number(row.unknown_share, ".1%"),
    "training tokens/s": lambda row: _number(
        row.training_tokens_per_second, ",.0f"
    ),
    "training minutes": lambda row: _number(row.training_minutes, ".1f"),
}


def to_markdown(comparison: Comparison) -> str:
    """The comparison as a table.

    Args:
        comparison: What `compare` gave.

    Returns:
        The title, an empty line, and a table of Markdown, best first.

    Example:
    >>> rows = (Row("runs/a", "gru", bits_per_byte=1.5),)
    >>> print(to_markdown(Comparison("tale, test", rows)))
    tale, test
    <BLANKLINE>
    | run | model | tokens | ...
    |---|---|---|...
    | runs/a | gru |  |  | 1.5000 | ...
    """
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    for row in comparison.rows:
        lines.append([text(row) for text in _COLUMNS.values()])
    head, rule, *rows = lines
    table = [_line(head), "|" + "|".join(rule) + "|", *map(_line, rows)]
    return "\n".join([comparison.title, "", *table])


def write_csv(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Writes the rows as CSV, one column for each field of a `Row`.

    Args:
        comparison: What `compare` gave.
        path: The file. Figures have all of their digits, an interval has two
            columns, and what is not known is left empty.
    """
    file = io.StringIO()
    names = list(_fields(comparison.rows[0]))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_fields(row) for row in comparison.rows)
    writing.write_text(path, file.getvalue())


def draw(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Draws bits per byte with their intervals, the best on top.

    Args:
        comparison: What `compare` gave.
        path: The picture; its suffix says of which kind.
    """
    rows = [r for r in comparison.rows if math.isfinite(r.bits_per_byte)]
    figure = drawing.new_figure(9, 1.5 + 0.4 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        low, high = row.interval or (row.bits_per_byte, row.bits_per_byte)
        axes.plot([low, high], [place, place], color="tab:blue")
        axes.plot(row.bits_per_byte, place, "o", color="tab:blue")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("bits per byte, 95% interval")
    figure.suptitle(comparison.title, fontsize="medium", wrap=True)
    drawing.save(figure, path)


def _line(cells: list[str]) -> str:
    # A bar within a cell would end it.
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else "{:.4f} to {:.4f}".format(*bounds)


def _fields(row: Row) -> dict[str, Any]:
    fields = dataclasses.asdict(row)
    low, high = fields.pop("interval") or (None, None)
    return {**fields, "interval_low": low, "interval_high": high}
