"""Whether one arm is a special case of another, and what the other's search lacked of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, isnan

from lit_lossopt.comparison.comparison import Held
from lit_lossopt.comparison.grouping.arguments import (
    Settings,
    class_name_of,
    class_of,
    is_argument,
    name_of,
    number,
    same_class,
    same_value,
    says_nothing,
)
from lit_lossopt.comparison.grouping.space import Point, Space
from lit_lossopt.comparison.inclusion.relations import Need, Relation
from lit_lossopt.core.numbers import significant

# Rates within this factor are one.
_ONE_RATE = 1.001
_RATE = "learning rate"


@dataclass(frozen=True)
class _Asked:
    """One need, with what the general method calls its parameter, and the value that it must have."""

    need: Need
    name: str
    value: float

    def met_in(self, space: Space) -> bool:
        if self.need.at_least:
            return any(number(value) >= self.value for value in space.tried(self.name))
        return space.contains_number(self.name, self.value)

    def met_at(self, point: Point) -> bool:
        value = number(point.settings.get(self.name, ""))
        return value >= self.value if self.need.at_least else value == self.value


def lacking(relation: Relation, space: Space, special: Point) -> tuple[Held, ...] | None:
    """Return what a searched space lacks of its special case.

    It is empty where the space contains the case. None if the point is no special case, or if parameters do not tell.

    Args:
        relation: of the two methods.
        space: what was tried of the general method.
        special: the other arm's settings.
    """
    general = space.points[0].settings
    if not _of_these_classes(relation, general, special.settings):
        return None
    asked = [_asked(need, relation, general, special.settings) for need in relation.needs]
    known = [one for one in asked if one is not None]
    is_same = relation.same_class and all(one.met_at(point) for one in known for point in space.points)
    unlike = _unlike(relation, space, special.settings, {one.name for one in known})
    if len(known) < len(asked) or is_same or unlike is None:
        return None
    held = [_held(one, space) for one in known if not one.met_in(space)]
    return (*held, *unlike) or _rates(relation, space, special, known)


def _of_these_classes(relation: Relation, general: Settings, special: Settings) -> bool:
    """Return True if both methods are of the relation's classes, and the special one is as it must be."""
    first, second = class_of(general, relation.choice), class_of(special, relation.choice)
    if not same_class(first, relation.general or first):
        return False
    if not same_class(second, relation.special or first):
        return False
    for argument, value in relation.fixed.items():
        name = name_of(special, relation.choice, argument)
        if relation.same_class and name is None and name_of(general, relation.choice, argument) is not None:
            return False
        if name is not None and not same_value(special[name], value):
            return False
    return True


def _asked(need: Need, relation: Relation, general: Settings, special: Settings) -> _Asked | None:
    name = name_of(general, relation.choice, need.parameter)
    like = name_of(special, relation.choice, need.like) if need.like else None
    value = number(special[like]) if like else need.value
    if name is None or isnan(number(general[name])) or isnan(value) or (need.like and like is None):
        return None
    return _Asked(need, name, value)


def _unlike(relation: Relation, space: Space, special: Settings, asked: set[str]) -> list[Held] | None:
    """Return in which other settings the search lacks the special case's value.

    None if the two differ in a setting that was not searched.
    """
    general = space.points[0].settings
    classes = {class_name_of(settings, relation.choice) for settings in (general, special)}
    held = []
    for name in dict.fromkeys((*general, *special)):
        if name in asked or name in classes or _matters_not(name, relation):
            continue
        if name not in general or name not in special:
            owners = [point.settings for point in space.points] if name in general else [special]
            if not any(says_nothing(settings, name) for settings in owners):
                return None
        elif not _may_differ(name, space, special[name]):
            return None
        elif not space.contains(name, special[name]):
            held.append(_span(name, space, special[name]))
    return held


def _may_differ(name: str, space: Space, wanted: str) -> bool:
    """Return True if a setting was searched, or is one that a special case may lack besides."""
    values = space.tried(name)
    if len(values) > 1 or same_value(values[0], wanted):
        return True
    return is_argument(name, "optimizer", "weight_decay") and same_value(wanted, "0")


def _matters_not(name: str, relation: Relation) -> bool:
    mapped = {need.like for need in relation.needs} - {""}
    return any(is_argument(name, relation.choice, argument) for argument in {*relation.fades, *relation.fixed, *mapped})


def _held(asked: _Asked, space: Space) -> Held:
    known = sorted(value for text in space.tried(asked.name) if isfinite(value := number(text)))
    low, high = (significant(value) for value in (known[0], known[-1]))
    return Held(asked.name, low, high, significant(asked.value) if asked.need.like else "")


def _span(name: str, space: Space, wanted: str) -> Held:
    values = space.tried(name)
    return Held(name, values[0], values[-1], wanted)


def _rates(relation: Relation, space: Space, special: Point, asked: list[_Asked]) -> tuple[Held, ...]:
    """Return the learning rates that were tried, if the special case's own is not among them."""
    rates = sorted(_special_rates(relation, space, asked))
    if not rates or isnan(special.rate) or rates[0] / _ONE_RATE <= special.rate <= rates[-1] * _ONE_RATE:
        return ()
    name = f"{_RATE} in that limit" if relation.limit else _RATE
    return (Held(name, significant(rates[0]), significant(rates[-1]), significant(special.rate)),)


def _special_rates(relation: Relation, space: Space, asked: list[_Asked]) -> Iterator[float]:
    """Yield the learning rates at which the special case was tried, as the special method counts them."""
    in_limit = [point for point in space.points if all(one.met_at(point) for one in asked if one.need.at_least)]
    at_case = [point for point in in_limit if all(one.met_at(point) for one in asked)]
    for point in at_case or in_limit:
        values = {one.need.parameter: number(point.settings[one.name]) for one in asked}
        rate = point.rate / values.get(relation.over, 1.0)
        rate *= 1 - values["betas"] if relation.averaged else 1.0
        if isfinite(rate):
            yield rate
