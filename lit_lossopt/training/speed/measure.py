"""Which candidates are measured, and for how long."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import lightning.pytorch as pl
import torch

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.machine import cores, has_bf16_units
from lit_lossopt.core.numbers import significant
from lit_lossopt.training.numerics import fp32_precision
from lit_lossopt.training.speed.blocks import Block, Repetition, repeated
from lit_lossopt.training.speed.candidates import Candidate, changing, fused, of_threads, together
from lit_lossopt.training.speed.ratios import Speed, speeds
from lit_lossopt.training.speed.request import COMMAND
from lit_lossopt.training.speed.steps import TrainingSteps

# Repetitions that are aimed at, in each half of the time.
REPETITIONS = 10
# Shares of the time: for warming up, and after which the best are measured together.
_WARM_UP, _FIRST_PART = 0.1, 0.5


class Steps(Protocol):
    """Makes blocks of training steps, as ``TrainingSteps`` does."""

    def block(self, candidate: Candidate, steps: int) -> Block:
        """Return a block of so many steps."""

    def block_of(self, candidate: Candidate, seconds: float, begin: Callable[[], None]) -> Block:
        """Return a block of so many seconds, after ``begin`` has returned."""


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        candidates: in the order of the table. The first are the settings as given.
        steps: of each block.
        repetitions: blocks by the candidate's name.
    """

    candidates: tuple[Candidate, ...]
    steps: int
    repetitions: tuple[Repetition, ...]

    @property
    def given(self) -> Candidate:
        """The settings as given."""
        return self.candidates[0]

    @property
    def found(self) -> dict[str, Speed]:
        """How fast each candidate is."""
        return speeds(self.repetitions, self.given.name)


def has_units(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 numbers by itself."""
    return torch.cuda.is_bf16_supported() if device.type == "cuda" else has_bf16_units()


def candidates(training: TrainingSteps, trainer: pl.Trainer) -> list[Candidate]:
    """Return the settings as given, and those to measure beside them."""
    given = Candidate(torch.get_num_threads())
    on_cpu = training.device.type == "cpu"
    others = of_threads(given, cores()) if on_cpu else []
    others += [fused(given)] if training.may_be_fused() else []
    if has_units(training.device):
        single = trainer.precision == "32-true"
        products = on_cpu and single and "bf16" not in fp32_precision().values()
        others += changing(given, precision=single, products=products)
    return [given, *(one for one in others if training.works(one))]


def measured(
    training: Steps,
    chosen: Sequence[Candidate],
    seconds: float,
    asked: float,
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Return blocks of the candidates, and of the best of them together.

    Args:
        training: makes the steps.
        chosen: the candidates. The first are the settings as given.
        seconds: to measure in.
        asked: the seconds that a person gave, for the message.
        clock: returns seconds.

    Raises:
        UserError: the time is not enough for one block of each.
    """
    begun, by_name = clock(), {one.name: one for one in chosen}
    half, until = begun + _FIRST_PART * seconds, begun + seconds
    count = _warm_up(training, chosen, seconds, asked, clock)

    def measure(name: str) -> Block:
        return training.block(by_name[name], count)

    first = list(repeated(list(by_name), measure, half, clock))
    pair = together(_gains(chosen, speeds(first, chosen[0].name)))
    if pair is None:
        return Measured(tuple(chosen), count, (*first, *repeated(list(by_name), measure, until, clock)))
    parts = [one for one in chosen if one.is_safe and set(one.words) <= set(pair.words)]
    by_name[pair.name] = pair
    second = repeated([one.name for one in (*parts, pair)], measure, until, clock)
    safe, others = ([one for one in chosen if one.is_safe is wanted] for wanted in (True, False))
    return Measured((*safe, pair, *others), count, (*first, *second))


def _gains(chosen: Sequence[Candidate], found: dict[str, Speed]) -> list[Candidate]:
    """Return the best number of threads, and the fused optimizer, where they seem to gain something."""
    given, *others = (one for one in chosen if one.is_safe)
    gaining = [one for one in others if found[one.name].ratio > 1]
    threads = [one for one in gaining if one.threads != given.threads]
    best = max(threads, key=lambda one: found[one.name].ratio, default=None)
    return [*([best] if best else []), *(one for one in gaining if one.fused)]


def _warm_up(
    training: Steps, chosen: Sequence[Candidate], seconds: float, asked: float, clock: Callable[[], float]
) -> int:
    """Make steps of each candidate, and return how many a block has."""
    until = clock() + seconds
    each, walls = _WARM_UP * seconds / len(chosen), []
    for candidate in chosen:
        block = training.block_of(candidate, each, lambda: None)
        walls.append(block.wall / block.steps)
        # A block has one step in front that is not measured.
        needed = 2 * max(walls) * len(chosen)
        if clock() + needed > until:
            more = math.ceil(asked / seconds * (REPETITIONS + 1) * needed)
            raise UserError(
                f"{COMMAND} --seconds {asked:g}: a step takes {significant(max(walls), 2)} seconds, and not even one "
                f"block of each of {len(chosen)} settings fits; give about --seconds {more}"
            )
    left = (_FIRST_PART - _WARM_UP) * seconds
    return max(1, round(left / (len(chosen) * REPETITIONS * walls[0])))
