"""Families of arms that differ in their loss alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.grouping.arguments import class_name_of, class_of
from lit_lossopt.comparison.grouping.space import space_of

LOSS = "criterion"


@dataclass(frozen=True)
class LossFamily:
    """All arms of one loss that differ in their learning rate alone.

    Attributes:
        loss: what tells it from the others of its group, in words.
        beside: what all of the group were trained with, in words. May be empty.
        arms: compared or for tuning.
    """

    loss: str
    beside: str
    arms: tuple[ArmRuns, ...]


def alike_but_for_loss(tried: Sequence[ArmRuns]) -> list[list[LossFamily]]:
    """Return groups of families that differ in their loss alone.

    A family in which more than the learning rate was searched is in no group.

    Args:
        tried: all arms, compared or for tuning.
    """
    families: dict[str, list[ArmRuns]] = {}
    for arm in tried:
        families.setdefault(arm.family, []).append(arm)
    groups: dict[tuple[tuple[str, str], ...], dict[str, list[ArmRuns]]] = {}
    for family, arms in families.items():
        all_settings = {tuple(sorted(point.settings.items())): point.settings for point in space_of(arms).points}
        settings = next(iter(all_settings.values()))
        if len(all_settings) == 1 and class_of(settings, LOSS):
            groups.setdefault(_without_loss(settings), {})[family] = arms
    return [_told(group) for group in groups.values() if len(group) > 1]


def _without_loss(settings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    loss = class_name_of(settings, LOSS)
    return tuple(
        sorted((name, value) for name, value in settings.items() if name != loss and not name.startswith(f"{loss}."))
    )


def _told(group: Mapping[str, Sequence[ArmRuns]]) -> list[LossFamily]:
    """Return families with the words that tell them apart, and the words that they share."""
    words = {family: family.split() for family in sorted(group)}
    shared = [word for word in next(iter(words.values())) if all(word in others for others in words.values())]
    losses = {family: " ".join(word for word in own if word not in shared) for family, own in words.items()}
    if not all(losses.values()):
        losses, shared = {family: family for family in words}, []
    return [LossFamily(losses[family], " ".join(shared), tuple(group[family])) for family in words]
