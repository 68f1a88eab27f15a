"""The checks of a record, each told in lines."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from lit_lossopt.comparison.report.page import page
from lit_lossopt.core import names
from lit_lossopt.core.numbers import counted, listed, spelled
from lit_lossopt.tracking.addresses import tracking_uri
from lit_lossopt.tracking.reading.runs import Run
from lit_lossopt.verify.agreement import COUNT, DEVIATIONS, FIRST_STEP, FIRST_STEPS, LEAST, agreement, far_apart
from lit_lossopt.verify.configs import changed_config
from lit_lossopt.verify.differences import Difference
from lit_lossopt.verify.page_text import text_differences
from lit_lossopt.verify.recompute import TOLERANCE, Again
from lit_lossopt.verify.recorded import Recorded, unlike, why_not
from lit_lossopt.verify.rerun import Repeated

_MOST_SAID = 20
_MOST_REASONS = 3


@dataclass(frozen=True)
class Checked:
    """What a check has found.

    Attributes:
        lines: for a person.
        wrong: how many things do not hold.
        unknown: how many things that were asked for could not be checked.
    """

    lines: tuple[str, ...]
    wrong: int = 0
    unknown: int = 0


def of_the_store(again: Again) -> Checked:
    """Say whether every value of the record comes from the store."""
    place = f"Computed again from {tracking_uri()}, {counted(len(again.runs), 'run')}"
    exact = "to the last bit"
    if again.unlike:
        aside = "" if again.is_same_program else ", words aside"
        exact = f"within {TOLERANCE:g} (relative){aside}, since these differ: {_few(again.unlike)}"
    if not again.differences:
        return Checked((f"{place}: every value is the same, {exact}.",))
    many = len(again.differences)
    return Checked(
        (
            f"{place}: {counted(many, 'value')} of the record {'does' if many == 1 else 'do'} not hold.",
            *_named(again.differences, "the store"),
        ),
        len(again.differences),
    )


def of_the_page(text: str, again: Again) -> Checked:
    """Say whether the page shows what its JSON says."""
    if not again.is_same_program:
        return Checked(("The text of the page was not compared, since another version may put it otherwise.",))
    computed = page(again.shown.comparison, again.shown.words)
    found = list(text_differences(text, computed, scripts=not again.unlike))
    if not found:
        aside = ", figures aside" if again.unlike else ""
        return Checked((f"The page shows what was computed{aside}.",))
    return Checked(("The page shows something else than what was computed.", *_named(found, "the store")), len(found))


def of_configs(runs: Sequence[Run], recorded: Mapping[str, Recorded]) -> Checked:
    """Say whether configs are as they were logged."""
    known = [run for run in runs if names.TAG_CONFIG_SHA256 in run.tags]
    if not known:
        return Checked(("No run has recorded the checksum of a config.",))
    missing = [run for run in known if not recorded[run.run_id].config]
    gone = f"The configs of {counted(len(missing), 'run')} are not among their artifacts, so they were not checked."
    lines = (gone,) if missing else ()
    changed = [(run, one) for run in known for one in changed_config(run, recorded[run.run_id])]
    if not changed:
        sound = counted(len(known) - len(missing), "run")
        fine = () if len(missing) == len(known) else (f"The configs of {sound} are as they were logged.",)
        return Checked((*fine, *lines), unknown=len(missing))
    told = [Difference((called(run), *one.place), one.recorded, one.found) for run, one in changed]
    said = ("Configs were changed after they were logged.", *_named(told, "its artifact"))
    return Checked((*said, *lines), len(changed), len(missing))


def chosen(runs: Sequence[Run], count: int, seed: int) -> tuple[list[Run], list[str]]:
    """Return runs to make again, chosen at random, and why others cannot be made again."""
    able = [run for run in runs if not why_not(run)]
    reasons = sorted({reason for run in runs if (reason := why_not(run))})
    return random.Random(seed).sample(able, min(count, len(able))), reasons  # no secret


def of_a_repetition(run: Run, recorded: Recorded, repeated: Repeated, metric: str, finals: Sequence[float]) -> Checked:
    """Say whether a trial that was run again gives what was recorded.

    Args:
        run: as it was recorded, with all its histories.
        recorded: how it was made.
        repeated: what came of it now.
        metric: the compared one.
        finals: the final values of all runs of its arm.
    """
    name = called(run)
    if repeated.run is None:
        return Checked((f"  {name}: it could not be run again: {repeated.said}",), unknown=1)
    found = agreement(run, repeated.run, recorded.config, repeated.recorded.config)
    values = f"{found.values:,} values of {counted(found.metrics, 'metric')}"
    if not found.differences:
        return Checked((f"  {name}: {values} are the same to the bit ({repeated.seconds:.1f} s)",))
    apart = unlike(recorded, repeated.recorded)
    if apart:
        far = list(far_apart(run, repeated.run, metric, statistics.stdev(finals) if len(finals) > 2 else nan))
        if not far:
            return Checked(
                (f"  {name}: the same within tolerances ({_tolerances()}), since these differ: {_few(apart)}",)
            )
        return Checked(
            (f"  {name}: it differs by more than {_few(apart)} can explain", *_named(far, "the repetition", 4)),
            len(far),
        )
    return Checked(
        (f"  {name}: it does not give what was recorded", *_named(found.differences, "the repetition", 4)),
        len(found.differences),
    )


def called(run: Run) -> str:
    """Return what a run is called in a line."""
    return f"run {run.run_id[:8]} ({run.name})" if run.name else f"run {run.run_id[:8]}"


def _tolerances() -> str:
    return (
        f"{FIRST_STEP:g} of the first loss, {FIRST_STEPS:g} of the first {spelled(COUNT)}, and {DEVIATIONS:g} standard "
        f"deviations of the arm or {LEAST:g} at the end"
    )


def _named(found: Sequence[Difference], source: str, indent: int = 2) -> Iterator[str]:
    for one in found[:_MOST_SAID]:
        yield f"{' ' * indent}{one.in_words(source)}"
    if len(found) > _MOST_SAID:
        yield f"{' ' * indent}and {len(found) - _MOST_SAID:,} more"


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_REASONS
    return listed([*texts[:_MOST_REASONS], *([f"{more} more"] if more > 0 else [])])


def finals_of(tree: Mapping[str, Any]) -> Mapping[str, Sequence[float]]:
    """Return run id → the final values of all runs of its arm."""
    by_arm: dict[str, list[float]] = {}
    for run in tree["runs"]:
        by_arm.setdefault(run["arm"], []).append(run["final"])
    return {run["run_id"]: [value for value in by_arm[run["arm"]] if isinstance(value, float)] for run in tree["runs"]}
