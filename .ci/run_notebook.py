"""Runs a notebook top to bottom, with other values for its parameters.

    run_notebook.py NOTEBOOK [NAME=VALUE ...] [--output FILE]

The values stand in the cell tagged `parameters`, one `NAME = VALUE` a line.
"""

import argparse
import re
from pathlib import Path

import nbclient
import nbformat


def main() -> None:
    """Runs the notebook in the working directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--output", type=Path, help="file for the result")
    parsed = parser.parse_args()
    notebook = nbformat.read(parsed.notebook, as_version=4)
    (cell,) = (
        cell
        for cell in notebook.cells
        if "parameters" in cell.metadata.get("tags", ())
    )
    for value in parsed.values:
        cell.source = _replaced(cell.source, *value.split("=", 1))
    # What a cell prints comes out as one piece, whatever the timing.
    nbclient.NotebookClient(
        notebook, timeout=1200, coalesce_streams=True
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times, new in every run
    if parsed.output:
        nbformat.write(notebook, parsed.output)
    print(f"{parsed.notebook.name}: {len(notebook.cells)} cells ran")


def _replaced(source: str, name: str, value: str) -> str:
    line = re.compile(rf"^{re.escape(name)} = [^#\n]*?(?=\s*(#|$))", re.M)
    source, count = line.subn(lambda _: f"{name} = {value}", source)
    if count != 1:
        raise SystemExit(f"no parameter {name} in:\n{source}")
    return source


if __name__ == "__main__":
    main()
