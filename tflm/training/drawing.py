"""Pictures that are drawn without a window."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tflm import writing

if TYPE_CHECKING:  # it takes a second to import
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of that many inches.

    It has a canvas of its own: no window, no change to the user's pyplot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure; the suffix of the path says as what, none as PNG."""
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".png")
    with writing.new_file(path) as beside:
        figure.savefig(beside, dpi=100)
