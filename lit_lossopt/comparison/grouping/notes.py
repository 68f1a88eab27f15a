"""What a reader must know of the compared runs, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.grouping.possible_looks import Look
from lit_lossopt.comparison.measures.trial import seed_of
from lit_lossopt.comparison.statistics.judge import LEVEL
from lit_lossopt.comparison.statistics.optional_stopping import claims_after
from lit_lossopt.core import names
from lit_lossopt.core.errors import one_line
from lit_lossopt.core.numbers import duration, listed, named, per_cent, spelled
from lit_lossopt.tracking.reading.runs import Run

# Of more looks only their number is said.
_MOST_COUNTED = 4


def notes_on(runs: Sequence[Run]) -> list[str]:
    """Return what is odd about runs with their histories.

    Values may be doubtful, some may be missing, and a run may not begin at its start.
    """
    tagged = {
        names.TAG_UNDELIVERED: "lack values that were not delivered to the store. Run lossopt sync.",
        names.TAG_LOST: "lost values to a full disk, so there are gaps in the curves.",
        names.TAG_CONTINUES: "went on from another run's checkpoint, where the curves begin.",
    }
    counts = {tag: sum(bool(run.tags.get(tag)) for run in runs) for tag in tagged}
    return [
        *_overridden(runs),
        *_at_one_step(runs),
        *(f"{_runs(counts[tag])} {what}" for tag, what in tagged.items() if counts[tag]),
    ]


def note_on_repeats(count: int) -> list[str]:
    """Say how many runs a newer one repeats.

    Both have the same seed.
    """
    if not count:
        return []
    return [f"{count} {'run was' if count == 1 else 'runs were'} repeated with the same seed, and the newest counts."]


def notes_on_seeds(arms: Sequence[ArmRuns]) -> list[str]:
    """Say which seeds are not in every arm.

    Another sentence says how many runs have none.
    """
    notes = []
    nameless = sum(not seed_of(run) for arm in arms for run in arm.runs)
    if nameless:
        notes.append(f"{nameless} {'run names' if nameless == 1 else 'runs name'} no seed and cannot be paired.")
    counts = Counter(seed for arm in arms for seed in {seed_of(run) for run in arm.runs} - {""})
    single = sorted((seed for seed in counts if counts[seed] < len(arms)), key=lambda seed: (len(seed), seed))
    if single:
        shown = ", ".join(single[:8]) + (" …" if len(single) > 8 else "")
        subject, verb = ("Seed", "is") if len(single) == 1 else ("Seeds", "are")
        notes.append(f"{subject} {shown} {verb} not in every arm, and only the arms that have them are paired.")
    return notes


def notes_on_origins(arms: Sequence[ArmRuns]) -> list[str]:
    """Say which arms go on with what other runs have trained."""
    notes = []
    for origin, members in _by_origin(arms, "branch").items():
        goes, own = ("goes", "its") if len(members) == 1 else ("go", "their")
        notes.append(f"{listed(members)} {goes} on from {origin}. These steps count as {own} own.")
    for origin, members in _by_origin(arms, "weights").items():
        begins = "begins" if len(members) == 1 else "begin"
        notes.append(f"{listed(members)} {begins} with the weights of {origin}. These steps are not counted.")
    return notes


def _by_origin(arms: Sequence[ArmRuns], param: str) -> dict[str, list[str]]:
    """Return what other runs have trained → the arms of which all runs go on with that."""
    origins: dict[str, list[str]] = {}
    for arm in arms:
        known = {run.params.get(param, "") if names.TAG_TRIAL_KEY in run.tags else "" for run in arm.runs}
        if known != {""} and len(known) == 1:
            origins.setdefault(known.pop(), []).append(arm.name)
    return origins


def note_on_looks(looks: Sequence[Look], arms: int, *, sequential: bool) -> list[str]:
    """Say that seeds may have been added after looking, and what follows.

    Looks at which so many arms could not get a claim are no harm, and nothing is said.

    Args:
        looks: the possible ones.
        arms: number of those that are compared.
        sequential: whether intervals and claims hold however often one looks.
    """
    if not looks:
        return []
    seeds = (*(look.seeds for look in looks), looks[-1].seeds + len(looks[-1].added))
    promised, share = per_cent(LEVEL), per_cent(claims_after(arms, seeds))
    if share == promised:
        return []
    if sequential:
        return [f"{_added(looks)} Intervals and claims hold however often one looks (--sequential)."]
    consequence = (
        "If they were added because of what was seen then, equal arms give a claim more often than in the "
        f"{promised} of pages that p values promise. With {spelled(len(seeds))} looks it is up to {share}. "
        "With --sequential, intervals and claims hold however often one looks."
    )
    return [f"{_added(looks)} {consequence}"]


def on_test_images(arms: Sequence[ArmRuns], metric: str) -> bool:
    """Return True if a run measured the metric on test images.

    Only a metric that is called one of validation counts.
    """
    return any(_validated_on_test(run, metric) for arm in arms for run in arm.runs)


def note_on_test_images(arms: Sequence[ArmRuns], metric: str) -> list[str]:
    """Say which runs measured the metric on the test images."""
    some = [arm.name for arm in arms if any(_validated_on_test(run, metric) for run in arm.runs)]
    every = all(_validated_on_test(run, metric) for arm in arms for run in arm.runs)
    if not some:
        return []
    where = "" if every else f" in runs of {listed(sorted(some))}"
    return [f"{metric} was measured on the test images{where} (data.validate_on_test): choose nothing by it."]


def _added(looks: Sequence[Look]) -> str:
    """Say when seeds were added."""
    if len(looks) > _MOST_COUNTED:
        pauses, least = spelled(len(looks)), spelled(looks[0].seeds)
        return f"Runs of more seeds were begun after {pauses} pauses, from {least} seeds on."
    if len(looks) > 1:
        counts = listed([spelled(look.seeds) for look in looks])
        return f"Runs of more seeds were begun after pauses, when {counts} seeds were complete."
    [look] = looks
    seeds = f"seed{'' if len(look.added) == 1 else 's'} {named(look.added)}"
    return (
        f"Runs of {seeds} were begun {duration(look.pause / 1000)} after the first {spelled(look.seeds)} were complete."
    )


def _overridden(runs: Sequence[Run]) -> list[str]:
    """Say how many runs logged several values at one step.

    The worst is named.
    """
    doubled = [
        (count, run.name or run.run_id)
        for run in runs
        if (count := sum(history.overridden for history in run.histories.values()))
    ]
    if not doubled:
        return []
    count, name = max(doubled)
    worst = f"{one_line(name, 60)}: {count:,}"
    return [f"{_runs(len(doubled))} logged several values at one step ({worst}), of which the last one counts."]


def _at_one_step(runs: Sequence[Run]) -> list[str]:
    """Say how many runs logged a whole metric at one step."""
    single = [
        run
        for run in runs
        if any(len(history.steps) == 1 and history.overridden > 0 for history in run.histories.values())
    ]
    return [f"{_runs(len(single))} logged all values of a metric at one step. Log them with step=…"] * bool(single)


def _validated_on_test(run: Run, metric: str) -> bool:
    name = next((key for key in run.params if key.rpartition(".")[2] == "validate_on_test"), "")
    return run.params.get(name, "").lower() in {"true", "1", "yes"} and metric.partition("/")[0] == names.VAL


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
