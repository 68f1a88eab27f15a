"""Pictures of a single run.

This only draws. Arrays come in, a matplotlib figure goes out. There is no window and no global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from numpy.typing import NDArray

from lit_lossopt.core.errors import one_line
from lit_lossopt.training.lr_find.curve import RangeTest

# Inches: matplotlib draws no more than 65,536 dots, and half of that takes gigabytes.
_LARGEST = 24.0
_MOST_NAMES = 50
_LONGEST = 24
_BOX = "□"


def confusion_figure(matrix: NDArray[np.integer[Any]], class_names: Sequence[str], title: str) -> Figure:
    """Return the drawing of a confusion matrix ``[K, K]``.

    It has counts, with true classes as rows. The colour is the share of a row.

    What to conclude: the diagonal is each class's recall; a bright cell beside it is a pair the network confuses; a
    bright column is a class it says too often, and a single one means that it has collapsed.
    """
    size = len(matrix)
    shown = drawable(class_names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.0, 1.6 + 0.55 * size), _LARGEST)
    every = -(-size // _MOST_NAMES)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set_xticks(range(0, size, every), shown[::every], rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(0, size, every), shown[::every], parse_math=False)
    axes.set(xlabel="predicted", ylabel="true", title=f"{title}: {np.trace(matrix) / max(1, matrix.sum()):.1%} right")
    if size <= 20:
        for row in range(size):
            for column in range(size):
                colour = "white" if share[row, column] > 0.5 else "black"
                count = axes.text(
                    column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=8
                )
                # It lies within its cell: the layout need not measure it, which takes a sixth of the time.
                count.set_in_layout(False)
    return figure


def drawable(names: Sequence[str]) -> list[str]:
    """Return names as they can be drawn.

    They are cut to a readable length.

    What the font has no picture of becomes a box, and then the name's number stands in front.
    """
    font = get_font(findfont(FontProperties()))
    found = []
    for number, name in enumerate(names):
        drawn = "".join(sign if font.get_char_index(ord(sign)) else _BOX for sign in one_line(name, _LONGEST))
        found.append(drawn if _BOX not in drawn else f"{number}: {drawn}")
    return found


def images_figure(images: NDArray[np.uint8], row_names: Sequence[str], title: str) -> Figure:
    """Return the drawing of images ``[rows, columns, H, W, C]``.

    The same image is down each column. Where C is neither 1 nor 3 the mean is drawn.

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


def range_test_figure(rates: Sequence[float], losses: Sequence[float], range_test: RangeTest, title: str) -> Figure:
    """Return the drawing of a learning-rate range test.

    It has every loss, the smoothed curve, the suggestion, and where it diverges.

    What to conclude: a clear valley gives a rate that can be trusted; where the dots scatter as widely as the curve
    falls, take larger batches or more steps. Rates between suggestion and lowest point train faster and less safely.
    """
    rate, loss = np.asarray(rates, float), np.asarray(losses, float)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rate, loss, ".", color="0.65", markersize=4, label="loss of a step")
    curve = rate < 1.2 * (range_test.diverges or np.inf)
    axes.plot(rate[curve], range_test.smoothed[curve], color="C0", linewidth=2, label="smoothed")
    if range_test.suggestion is not None:
        at = int(np.argmin(np.abs(np.log(rate / range_test.suggestion))))
        axes.axvline(range_test.suggestion, color="C2", linewidth=1)
        axes.plot(rate[at], range_test.smoothed[at], "o", color="C2", label=f"suggestion {range_test.suggestion:.2g}")
    if range_test.diverges is not None:
        axes.axvspan(range_test.diverges, max(rate[-1], range_test.diverges * 1.01), color="C3", alpha=0.12)
        axes.axvline(range_test.diverges, color="C3", linewidth=1, label=f"diverges from {range_test.diverges:.2g}")
    calm = loss[(rate < (range_test.diverges or np.inf)) & np.isfinite(loss)]
    if len(calm):
        room = max(float(np.ptp(calm)), 1e-6 * abs(float(calm[0])), 1e-12)
        axes.set_ylim(calm.min() - 0.05 * room, calm.max() + 0.35 * room)
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    axes.legend(frameon=False, fontsize=9)
    return figure


def write_png(figure: Figure, to: Path | IO[bytes], dpi: int = 120) -> None:
    """Draw a figure into a file.

    ``savefig`` would draw everything twice.
    """
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(to)  # type: ignore[no-untyped-call]  # matplotlib's own
