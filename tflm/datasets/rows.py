"""Files of which each row is a document: CSV, TSV, JSON lines, JSON."""

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tflm import checked
from tflm import config as configuration
from tflm.datasets.files import TextFile

_NO_HEADER = ". A column's number, from 0, says that there is no header"

Config = configuration.DataConfig


def texts(file: TextFile, config: Config) -> Iterator[str]:
    r"""The documents of a file whose `kind` is in `READERS`, in order.

    Args:
        file: The file.
        config: `text_feature` chooses the column or the field: by its name,
            or a column by its number from 0, which says that the file has no
            header. By default the only one there is, or `text`. `delimiter`
            stands between the columns of `.csv`.

    Returns:
        An iterator over the rows' texts. Blank lines are no rows.

    Raises:
        ValueError: While iterating, at the first row that cannot be read.

    Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "verses.csv")
    ...     _ = path.write_text('id,text\n1,"Who, me?"\n')
    ...     file = TextFile("train_file", path.name, path)
    ...     list(texts(file, Config()))
    ['Who, me?']
    """
    with file.open() as lines:
        yield from READERS[file.kind](file, lines, config)


def _csv(file: TextFile, lines: TextIO, config: Config) -> Iterator[str]:
    return _columns(file, lines, config, config.delimiter)


def _tsv(file: TextFile, lines: TextIO, config: Config) -> Iterator[str]:
    return _columns(file, lines, config, "\t")


def _columns(
    file: TextFile, lines: TextIO, config: Config, delimiter: str
) -> Iterator[str]:
    # Python's own limit is 131,072 characters, too few for a long document.
    csv.field_size_limit(2**31 - 1)
    # Not strict, an open quote would make the rest of the file one document.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    column: int | None = None
    try:
        for row in filter(None, reader):
            if column is None:
                wanted = config.text_feature
                if wanted is None or not wanted.isdecimal():
                    column = row.index(_chosen(file, "column", row, wanted))
                    continue
                column = int(wanted)
                if column >= len(row):
                    raise _number_too_large(file, column, len(row))
            if column >= len(row):
                raise file.error(
                    "must have the text's column in every row",
                    f"The row at line {reader.line_num} has {len(row)} "
                    f"column(s), none with number {column} (from 0)",
                )
            yield row[column]
    except csv.Error as error:
        raise file.error(
            "must be well-formed CSV",
            f"Line {reader.line_num}: {error}. Put quotes around a field "
            "that holds a quote, and double that quote",
        ) from None


def _json_lines(file: TextFile, lines: TextIO, config: Config) -> Iterator[str]:
    field: str | None = None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            value = _parsed(file, line.rstrip(), number)
            field = field or _field(file, value, config)
            yield _text(file, value, field, f"Line {number}")


def _json_array(file: TextFile, lines: TextIO, config: Config) -> Iterator[str]:
    content = lines.read()
    rows = _parsed(file, content) if content.strip() else []
    if not isinstance(rows, list):
        raise file.error(
            "must hold one JSON array",
            f"It holds {_shown(json.dumps(rows))}. Name JSON lines .jsonl",
        )
    field: str | None = None
    for number, value in enumerate(rows):
        field = field or _field(file, value, config)
        yield _text(file, value, field, f"Item {number} (from 0)")


READERS: dict[str, Callable[[TextFile, TextIO, Config], Iterator[str]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_array,
}


def _parsed(file: TextFile, content: str, first_line: int = 1) -> Any:
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        wrong = f"Line {line}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # too many digits, too deep
        wrong = f"Line {first_line}: {error}"
    hint = ". Name JSON lines .jsonl" if file.kind == ".json" else ""
    raise file.error("must be well-formed JSON", wrong + hint)


def _field(file: TextFile, value: Any, config: Config) -> str | None:
    """The field of the objects that holds the text; strings have none."""
    if not isinstance(value, dict):
        return None
    return _chosen(file, "field", list(value), config.text_feature)


def _text(file: TextFile, value: Any, field: str | None, place: str) -> str:
    """The text of one JSON value, which is an object or a string."""
    if isinstance(value, dict):
        if field not in value:
            names = [_shown(name) for name in value]
            raise file.error(
                "must have the text's field in every object",
                f"{place}: {checked.unknown('field', str(field), names)}",
            )
        value = value[field]
    if not isinstance(value, str):
        raise file.error(
            "must hold strings, or objects with a string in the text's field",
            f"{place} has {_shown(json.dumps(value))}",
        )
    value.encode()  # JSON can hold half a character, "\ud800".
    return value


def _chosen(
    file: TextFile, kind: str, names: list[str], wanted: str | None
) -> str:
    """The name of the column or field that holds the text."""
    shown = [_shown(name) for name in names]
    hint = _NO_HEADER if kind == "column" else ""
    if wanted is not None:
        if wanted in names:
            return wanted
        raise file.error(
            f"must have the {kind} that `text_feature` names",
            checked.unknown(kind, wanted, shown) + hint,
        )
    if len(names) == 1:
        return names[0]
    if "text" in names:
        return "text"
    raise file.error(
        f"has {len(names)} {kind}s, so `text_feature` must name one",
        f"Choose with --text_feature: {', '.join(shown)}{hint}",
    )


def _number_too_large(file: TextFile, column: int, columns: int) -> ValueError:
    return file.error(
        f"must have the column that `text_feature` numbers, {column}",
        f"It has {columns} column(s), numbered from 0 to {columns - 1}",
    )


def _shown(name: str) -> str:
    """A short line: where a header is missing, "names" are long texts."""
    line = " ".join(name.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
