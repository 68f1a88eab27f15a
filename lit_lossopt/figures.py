"""Pictures of a single run. Drawing only: arrays in, a matplotlib figure out, no window and no global state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def confusion_figure(matrix: NDArray[np.integer[Any]], class_names: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix ``[K, K]`` of counts; rows are true classes, shares of a row give the colour.

    What to conclude: the diagonal is each class's recall; a bright cell beside it is a pair the network confuses; a
    bright column is a class it says too often, and a single one means that it has collapsed.
    """
    size = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 1.6 + 0.55 * size)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set_xticks(range(size), class_names, rotation=45, ha="right")
    axes.set_yticks(range(size), class_names)
    axes.set(xlabel="predicted", ylabel="true", title=f"{title}: {np.trace(matrix) / max(1, matrix.sum()):.1%} right")
    if size <= 20:
        for row in range(size):
            for column in range(size):
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def images_figure(images: NDArray[np.uint8], row_names: Sequence[str], title: str) -> Figure:
    """Draw images ``[rows, columns, H, W, C]``, the same image down each column; the mean where C is neither 1 nor 3.

    What to conclude: a person should still name every picture; one that has become ambiguous is trained on as well.
    """
    rows, columns = images.shape[:2]
    figure = Figure(figsize=(1.4 + 0.9 * columns, 0.6 + 0.9 * rows), layout="constrained")
    figure.suptitle(title)
    for row, axes_row in enumerate(figure.subplots(rows, columns, squeeze=False)):
        for column, axes in enumerate(axes_row):
            pixels = images[row, column]
            shown = pixels if pixels.shape[-1] == 3 else pixels.mean(axis=-1)
            axes.imshow(shown, cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
        axes_row[0].set_ylabel(row_names[row], rotation=0, ha="right", va="center")
    return figure


def write_png(figure: Figure, to: Path | IO[bytes], dpi: int = 120) -> None:
    """Draw a figure into a file; ``savefig`` would draw everything twice."""
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(to)  # type: ignore[no-untyped-call]  # matplotlib's own
