"""Pictures of a single run. Drawing only: arrays in, a matplotlib figure out, no window and no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
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
