"""Races whose results are known beforehand."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from lit_lossopt.comparison.comparison import Contrast, Race
from lit_lossopt.comparison.contrast import Decision
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.core import names
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.protocol import Sweep, begin
from lit_lossopt.sweeps.summary import summary
from lit_lossopt.sweeps.trial import Trial
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.tracking.sweeps import SweepRuns
from tests.support.plans import RISING, CurveEngine, log_curve, plan

# SGD is far behind. The other two are alike, and need more seeds to show it.
CLEAR = {"sgd": (0.5, 0.0003), "adam": (0.9, 0.006), "rmsprop": (0.9, 0.006)}
# Too noisy to be told apart.
NOISY = {"sgd": (0.8, 0.1), "adam": (0.8, 0.1), "rmsprop": (0.8, 0.1)}
TWO = ("sgd", "adam")
OPEN, CLAIMED, EQUIVALENT = Decision.OPEN.value, Decision.CLAIMED.value, Decision.EQUIVALENT.value
# The arms of a race without a search.
_CLASSES = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop"}


def race_plan(*words: str, arms: Iterable[str] = _CLASSES, **changes: Any) -> Plan:
    """Return the plan of a race of these arms as they are, with changes."""
    factors = {"optimizer": {arm: {"model.optimizer": _CLASSES[arm]} for arm in arms}}
    return plan(*words, **{"factors": factors, "learning_rates": None, "seeds": None, "protocol": "race", **changes})


class RaceEngine(CurveEngine):
    """Logs a run for each trial, by arm and seed.

    Args:
        finals: arm → the middle of its final values, and by how much they may be off.
        broken: arm and seed of repeats that diverge.
        crashing: arm and seed of repeats that crash.
        stop_after: how many trials before Ctrl-C.
        rises: arm → evaluations until it is near its final value. Others rise at once.
        before: called with each trial before it runs.
    """

    def __init__(
        self,
        finals: dict[str, tuple[float, float]],
        *,
        broken: Iterable[tuple[str, int]] = (),
        crashing: Iterable[tuple[str, int]] = (),
        stop_after: int = -1,
        rises: dict[str, int] | None = None,
        before: Callable[[Trial], None] = lambda _: None,
    ) -> None:
        super().__init__(self.final, stop_after)
        self.finals, self.rises = finals, rises or {}
        self.broken, self.crashing, self.before = set(broken), set(crashing), before

    @property
    def repeated(self) -> Counter[str]:
        """Arm → how many of its repeats ran."""
        return Counter(trial.arm for trial in self.ran if trial.phase == "repeat")

    def final(self, trial: Trial) -> float | None:
        """Return the final value of a trial. None: it diverges."""
        if trial.phase == "repeat" and (trial.arm, trial.seed) in self.crashing:
            raise RuntimeError("out of memory")
        if trial.phase == "repeat" and (trial.arm, trial.seed) in self.broken:
            return None
        middle, off = self.finals[trial.arm]
        return middle + off * random.Random(f"{trial.arm} {trial.seed}").uniform(-1, 1)

    def _status(self, trial: Trial) -> tuple[int, int, float, str]:
        self.before(trial)
        if trial.phase == "test":
            return 0, 1, 0.1, ""
        try:
            final = self.final(trial)
        except RuntimeError as error:
            return 1, 1, 0.1, str(error)
        slow = self.rises.get(trial.arm, 0) and self.rises[trial.arm] + trial.seed % 2
        shares = [min(1.0, 0.1 + 0.9 * step / slow) for step in range(31)] if slow else RISING
        log_seeded(trial, final, shares)
        return (3 if final is None else 0), 1, 0.1, ""


def looks_said(said: list[str]) -> list[str]:
    """Return the lines on looks."""
    return [line for line in said if line.startswith("look at ")]


def log_seeded(trial: Trial, final: float | None, shares: Sequence[float] = RISING) -> None:
    """Log a run that is tagged with its seed, as ``fit`` tags it."""
    log_curve(_seeded(trial), final, shares=shares)


def run_race(
    read: Plan, engine: RaceEngine, show: Callable[[str], None] = lambda _: None
) -> tuple[int, Sweep, list[str]]:
    """Run a sweep, and return its status, itself, and what it said."""
    said: list[str] = []
    runs = SweepRuns(read.experiment, read.name)
    begin(read, runs, said.append)
    sweep = Sweep(read, runs, engine, lambda _: None, said.append, show=show)
    status = sweep.run()
    runs.end("FINISHED", {})
    return status, sweep, [*said, *summary(sweep)]


def compared_race(experiment: str = "plan") -> Race:
    """Return the race as ``compare`` finds it."""
    options = parse(["--experiment", experiment])
    found = compared(find_runs(options).runs, options, "race").race
    assert found is not None
    return found


def decisions_of(found: Race) -> dict[int, list[tuple[str, str, str]]]:
    """Return number of seeds → two arms and what a look has decided on them."""
    return {size: sorted((*_both(one), str(one.decision)) for one in seen) for size, seen in found.looks.items()}


def seeds_of(found: Race) -> dict[str, int]:
    """Return arm → number of seeds that were looked at."""
    return {_arm(arm): count for arm, count in found.seeds_of.items()}


def trials_of(experiment: str = "plan") -> list[Run]:
    """Return the runs of the trials of a sweep."""
    return [run for run in read_runs(experiment) if names.TAG_PHASE in run.tags]


def _seeded(trial: Trial) -> Trial:
    start = "--tracking.tags="
    words = (
        f"{start}{json.dumps({**json.loads(word.removeprefix(start)), names.TAG_SEED: str(trial.seed)})}"
        if word.startswith(start)
        else word
        for word in trial.tracking
    )
    return replace(trial, tracking=tuple(words))


def _both(found: Contrast) -> tuple[str, str]:
    one, other = sorted((_arm(found.first), _arm(found.second)))
    return one, other


def _arm(name: str) -> str:
    # A comparison writes what was searched behind the name.
    return name.partition(" ")[0]
