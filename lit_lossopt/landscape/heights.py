"""The scale on which losses are heights: logarithmic where they span much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.landscape.scene import Scene

Floats = NDArray[np.float64]
# From this ratio of the largest to the smallest loss on, heights are logarithms.
_MUCH = 20.0
# What lies higher above the start is cut off: there a wall would hide the valley.
_ABOVE_START = 1.5
_NICE = (1.0, 2.0, 5.0)
# Over less than three powers of ten there is room for more lines.
_WIDE, _FINE = 1e3, (1.0, 1.4, 2.0, 3.0, 5.0, 7.0)


@dataclass(frozen=True)
class Heights:
    """How losses are shown.

    Attributes:
        low: the smallest loss that has a height of its own.
        high: the largest.
        logarithmic: whether heights are logarithms.
        levels: losses with a line, rising.
        cuts: whether the map has losses above ``high``.
    """

    low: float
    high: float
    logarithmic: bool
    levels: tuple[float, ...]
    cuts: bool = False

    def cut(self, losses: Floats) -> Floats:
        """Return losses between ``low`` and ``high``; infinite ones are as high as can be, and NaN stays."""
        return np.clip(losses, self.low, self.high)


def heights_of(scene: Scene) -> Heights:
    """Return the scale for a map.

    Above one and a half times the loss at the start, and above all walks on the plane, the map is flat. True losses may
    be higher.
    """
    low, highest = scene.range
    high = highest
    if scene.walks:
        starts = max(float(walk.losses[0]) for walk in scene.walks)
        tops = max(float(np.nanmax(walk.on_plane)) for walk in scene.walks)
        high = min(high, max(_ABOVE_START * starts, tops)) if starts > 0 else high
    logarithmic = low > 0 and high / low >= _MUCH
    cuts = bool(np.any(scene.losses > high))
    return Heights(low, high, logarithmic, tuple(_levels(low, high, logarithmic)), cuts)


def _levels(low: float, high: float, logarithmic: bool) -> list[float]:
    """Return about ten round losses between both ends."""
    if not high > low:
        return [low]
    if logarithmic:
        nice_numbers = _NICE if high / low > _WIDE else _FINE
        powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        return [nice * 10.0**power for power in powers for nice in nice_numbers if low < nice * 10.0**power < high]
    step = (high - low) / 10
    size = 10.0 ** np.floor(np.log10(step))
    step = next(nice * size for nice in (*_NICE, 10.0) if nice * size >= step)
    return [float(level) for level in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]
