"""What was tried for an arm.

It is every point of its family, compared or tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.grouping.arguments import number, same_value
from lit_lossopt.comparison.grouping.name_words import is_number
from lit_lossopt.comparison.grouping.settings import SWEEP_ARM, Settings, is_rate

# So many different values are a random search, if each was tried at one point alone, with a learning rate of its own.
_LEAST_RANDOM = 5
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Point:
    """One combination of settings that was trained.

    Attributes:
        settings: all but the learning rate.
        rate: the learning rate. NaN if it is not known.
    """

    settings: Settings
    rate: float


@dataclass(frozen=True)
class Space:
    """All points that were tried for one family of arms."""

    points: tuple[Point, ...]

    def tried(self, name: str) -> tuple[str, ...]:
        """Return the different values of a setting, in order."""
        values = {point.settings[name] for point in self.points if name in point.settings}
        return tuple(sorted(values, key=lambda text: (isnan(number(text)), number(text), text)))

    def contains(self, name: str, wanted: str) -> bool:
        """Return True if a value of a setting was tried."""
        if any(same_value(value, wanted) for value in self.tried(name)):
            return True
        return is_number(wanted) and self.contains_number(name, float(wanted))

    def contains_number(self, name: str, wanted: float) -> bool:
        """Return True if a number was tried. Of settings with several numbers the first counts.

        A random search meets no number exactly. It contains one between its ends. It also contains one beyond an end
        that is no further away than the two outermost tried ones are from each other.
        """
        numbers = [number(value) for value in self.tried(name)]
        distance = min((abs(value - wanted) for value in numbers if isfinite(value)), default=inf)
        if distance <= _ROUNDING * abs(wanted):
            return True
        if not self.is_random(name):
            return False
        return 2 * numbers[0] - numbers[1] <= wanted <= 2 * numbers[-1] - numbers[-2]

    def is_random(self, name: str) -> bool:
        """Return True if every point has a value and a learning rate of its own.

        Several values at one rate are a grid, and a grid contains nothing between its values.
        """
        values, rates = self.tried(name), {point.rate for point in self.points}
        own = len(values) == len(rates) == len(self.points) >= _LEAST_RANDOM
        return own and all(isfinite(number(value)) for value in values) and all(map(isfinite, rates))


def space_of(arms: Sequence[ArmRuns]) -> Space:
    """Return what was tried in the arms of one family."""
    unique = {(tuple(sorted(point.settings.items())), str(point.rate)): point for point in map(point_of, arms)}
    return Space(tuple(unique.values()))


def point_of(arm: ArmRuns) -> Point:
    """Return the settings of an arm, apart from its learning rate and its name in a sweep."""
    kept = {name: value for name, value in arm.shared.items() if name != SWEEP_ARM and not is_rate(name)}
    return Point(kept, arm.learning_rate)
