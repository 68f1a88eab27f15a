"""Which runs are compared, and notes on the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan

from lit_lossopt.comparison.comparison import Arm, ArmRuns, Contrast, LeftOut
from lit_lossopt.comparison.measures.trial import curve_of, final_of, seed_of, verdict_of
from lit_lossopt.comparison.report.phrases import listed
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import RESULTS, Verdict
from lit_lossopt.tracking.reading.runs import Run

# What the loss is called among parameters, here and in other programs.
_CRITERIA = ("criterion", "loss", "loss_fn", "loss_function")


@dataclass(frozen=True)
class Selection:
    """Arms with their comparable runs.

    Runs are in the order of seeds. With them come the runs that were left out, and one sentence for each thing to know.
    """

    arms: tuple[ArmRuns, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def reasons(self) -> str:
        """Return why runs were left out, with counts."""
        counts = Counter(one.reason for one in self.left_out)
        return "; ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "there are none"


def select(arms: Sequence[ArmRuns], metric: str) -> Selection:
    """Return what can be compared by a metric.

    Interrupted, failed and running runs are missing data. Diverged and collapsed ones count, evaluated or not. Of
    several runs of one arm with one seed the newest counts: they are no further evidence.
    """
    kept: list[ArmRuns] = []
    left: list[LeftOut] = []
    for arm in arms:
        runs, out = _usable(arm.runs, metric)
        left += out
        if runs:
            kept.append(replace(arm, runs=runs))
    if all(isnan(final_of(run, metric)) for arm in kept for run in arm.runs):
        left += [LeftOut(run.run_id, run.name, f"without a finite {metric}") for arm in kept for run in arm.runs]
        kept = []
    return Selection(tuple(kept), tuple(left), (*_repeats(left), *_pairing(kept)))


def not_equal_by_accident(contrasts: Sequence[Contrast], arms: Sequence[Arm]) -> list[Contrast]:
    """Return contrasts without accidental equivalence.

    No arm is equivalent to another whose runs diverged or collapsed.

    Such a run counts at its last finite evaluation, which may be as good as any; nobody would take the one arm for the
    other.
    """
    broken = {arm.name for arm in arms if set(arm.verdicts) - {Verdict.COMPLETED}}
    return [replace(one, equivalent=one.equivalent and not {one.first, one.second} & broken) for one in contrasts]


def refuse_different_losses(arms: Sequence[ArmRuns], metric: str) -> None:
    """Refuse to rank loss values of different losses.

    Raises:
        UserError: the metric is a loss, and arms differ in it.
    """
    if re.split(r"[/_.]", metric)[-1] != "loss":
        return
    criteria = sorted({_criterion(arm, run) for arm in arms for run in arm.runs} - {""})
    if len(criteria) > 1:
        shown = ", ".join(criteria[:3]) + (" …" if len(criteria) > 3 else "")
        raise UserError(
            f"{metric} of different losses ({shown}) cannot be compared: their values have different units; take "
            f"{names.metric(names.VAL, 'accuracy')} or {names.metric(names.VAL, 'nll')}"
        )


def on_test_images(arms: Sequence[ArmRuns], metric: str) -> bool:
    """Return True if validation was on the test images.

    One such run is enough.
    """
    return any(_validated_on_test(run, metric) for arm in arms for run in arm.runs)


def note_on_test_images(arms: Sequence[ArmRuns], metric: str) -> list[str]:
    """Return a note on runs that validated on the test images."""
    some = [arm.name for arm in arms if any(_validated_on_test(run, metric) for run in arm.runs)]
    every = all(_validated_on_test(run, metric) for arm in arms for run in arm.runs)
    if not some:
        return []
    where = "" if every else f" in runs of {listed(sorted(some))}"
    return [f"{metric} was measured on the test images{where} (data.validate_on_test): choose nothing by it."]


def _validated_on_test(run: Run, metric: str) -> bool:
    name = next((key for key in run.params if key.rpartition(".")[2] == "validate_on_test"), "")
    return run.params.get(name, "").lower() in {"true", "1", "yes"} and metric.partition("/")[0] == names.VAL


def _criterion(arm: ArmRuns, run: Run) -> str:
    """Return the loss with all arguments that the run names."""
    known = {**run.params, **arm.settings}
    found = [(key.partition("."), known[key]) for key in sorted(known) if key.partition(".")[0] in _CRITERIA]
    return " ".join(f"{argument}={value}" if argument else value for (_, _, argument), value in found)


def _usable(runs: Sequence[Run], metric: str) -> tuple[tuple[Run, ...], list[LeftOut]]:
    usable: dict[str, Run] = {}
    left: list[LeftOut] = []
    # Oldest first, whatever order they come in.
    for run in sorted(runs, key=lambda run: (run.start, run.run_id)):
        reason = _unusable(run, metric)
        if reason:
            left.append(LeftOut(run.run_id, run.name, reason))
            continue
        key = seed_of(run) or f"\0{run.run_id}"
        if key in usable:
            left.append(LeftOut(usable[key].run_id, usable[key].name, "repeated by a newer run"))
        usable[key] = run
    ordered = sorted(usable, key=lambda seed: (len(seed), seed))
    return tuple(usable[seed] for seed in ordered), left


def _unusable(run: Run, metric: str) -> str:
    verdict = verdict_of(run)
    if verdict not in RESULTS:
        return verdict
    return "never evaluated" if verdict == Verdict.COMPLETED and not len(curve_of(run, metric).values) else ""


def _repeats(left: Sequence[LeftOut]) -> list[str]:
    count = sum(one.reason == "repeated by a newer run" for one in left)
    if not count:
        return []
    return [f"{count} {'run was' if count == 1 else 'runs were'} repeated with the same seed; the newest counts."]


def _pairing(arms: Sequence[ArmRuns]) -> list[str]:
    """Return notes on missing seeds.

    Some seeds are not in every arm, and some runs have none.
    """
    seeds = [{seed_of(run) for run in arm.runs} - {""} for arm in arms]
    notes = []
    nameless = sum(not seed_of(run) for arm in arms for run in arm.runs)
    if nameless:
        notes.append(f"{nameless} {'run names' if nameless == 1 else 'runs name'} no seed and cannot be paired.")
    counts = Counter(seed for found in seeds for seed in found)
    single = sorted((seed for seed in counts if counts[seed] < len(arms)), key=lambda seed: (len(seed), seed))
    if single:
        shown = ", ".join(single[:8]) + (" …" if len(single) > 8 else "")
        one = len(single) == 1
        notes.append(
            f"Seed{'' if one else 's'} {shown} {'is' if one else 'are'} not in every arm: pairs count where both are."
        )
    return notes
