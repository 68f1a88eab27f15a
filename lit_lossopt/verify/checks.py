"""The checks of a record, each told in lines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.comparison.record.text import unpacked
from lit_lossopt.comparison.report.page import page
from lit_lossopt.core import names
from lit_lossopt.core.numbers import counted, named
from lit_lossopt.tracking.addresses import tracking_uri
from lit_lossopt.tracking.reading.runs import Run
from lit_lossopt.verify.agreement import TOLERANCES, agreement, far_apart
from lit_lossopt.verify.configs import can_be_checked, changed_config
from lit_lossopt.verify.differences import Difference
from lit_lossopt.verify.page_text import first_difference, text_differences
from lit_lossopt.verify.recompute import TOLERANCE, Again
from lit_lossopt.verify.recorded import Recorded, is_outside, unlike, why_not
from lit_lossopt.verify.rerun import Repeated

_MOST_SAID = 20
_MOST_REASONS = 3


@dataclass(frozen=True)
class Checked:
    """What a check has found.

    Attributes:
        lines: for a person.
        wrong: how many things do not hold.
        unknown: how many things could not be checked.
        near: whether something holds only within tolerances.
    """

    lines: tuple[str, ...]
    wrong: int = 0
    unknown: int = 0
    near: bool = False


def of_the_store(again: Again) -> Iterator[Checked]:
    """Say whether every value of the record comes from the store."""
    place = f"Computed again from {tracking_uri()}, {counted(len(again.runs), 'run')}"
    many = len(again.differences)
    exact = "to the last bit"
    if again.unlike:
        exact = f"within {TOLERANCE:g} (relative), since these differ: {named(again.unlike, _MOST_REASONS)}"
    if not many:
        yield Checked((f"{place}: every value is the same, {exact}.",), near=bool(again.unlike))
    else:
        verb = "does" if many == 1 else "do"
        said = f"{place}: {counted(many, 'value')} of the record {verb} not hold."
        yield Checked((said, *_named(again.differences, "the store")), many)
    if not again.is_same_program:
        yield Checked(
            ("Its sentences were not compared, since another state of this program has written them.",), unknown=1
        )
    if again.ran:
        verb = "was" if again.ran == 1 else "were"
        said = f"{counted(again.ran, 'run')} still trained when the record was made, and {verb} not compared."
        yield Checked((f"{said[:1].upper()}{said[1:]}",), unknown=again.ran)
    if again.selection is None:
        said = "A password was taken out of the flags of the record, so it is not known which runs they select."
        yield Checked((said,), unknown=1)
    elif again.selection:
        said = "The flags of the record select other runs than those in it."
        yield Checked((said, *_lines(again.selection)), len(again.selection))


def of_the_page(text: str, again: Again) -> Checked:
    """Say whether the page is the one that the program makes of the runs."""
    if not again.is_same_program:
        return Checked(("The page was not compared, since another state of this program has made it.",), unknown=1)
    computed = page(again.shown.comparison, again.shown.words, again.shown.record)
    if text == computed or unpacked(text) == unpacked(computed):
        return Checked(("The page is what the program makes of these runs, byte by byte.",))
    if again.ran:
        return Checked(("The page was not compared, since it names runs that still trained.",), unknown=1)
    found = list(text_differences(text, computed, scripts=not again.unlike))
    if again.unlike and not found:
        said = "The texts of the page are what was computed. Its figures were not compared, since numbers may differ."
        return Checked((said,), unknown=1)
    found = found or [first_difference(text, computed)]
    return Checked(("The page is not what the program makes of these runs.", *_named(found, "the program")), len(found))


def of_configs(runs: Sequence[Run], recorded: Mapping[str, Recorded]) -> Iterator[Checked]:
    """Say whether configs are as they were logged."""
    own = [run for run in runs if names.TAG_TRIAL_KEY in run.tags or names.TAG_CONFIG_SHA256 in run.tags]
    if not own:
        yield Checked(("No run has recorded the checksum of a config.",))
        return
    told = {run.run_id: list(changed_config(run, recorded[run.run_id])) for run in own}
    changed = [
        Difference((called(run), *one.place), one.recorded, one.found) for run in own for one in told[run.run_id]
    ]
    unchecked = [run for run in own if not can_be_checked(run, recorded[run.run_id]) and not told[run.run_id]]
    sound = len(own) - len(unchecked) - len([run for run in own if told[run.run_id]])
    if sound:
        yield Checked((f"The configs of {counted(sound, 'run')} are as they were logged.",))
    if changed:
        yield Checked(("Configs were changed after they were logged.", *_named(changed, "its artifact")), len(changed))
    if unchecked:
        gone = f"The configs of {counted(len(unchecked), 'run')} are gone, or their checksums are."
        said = f"{gone} They were not checked."
        yield Checked((said,), unknown=len(unchecked))


def chosen(runs: Sequence[Run], recorded: Mapping[str, Recorded], count: int, seed: int) -> tuple[list[Run], list[str]]:
    """Return runs to make again, chosen at random, and why others cannot be made again."""
    reason_of = {run.run_id: why_not(run, recorded[run.run_id]) for run in runs}
    able = [run for run in runs if not reason_of[run.run_id]]
    reasons = sorted(set(filter(None, reason_of.values())))
    return random.Random(seed).sample(able, min(count, len(able))), reasons  # no secret


def of_a_repetition(run: Run, recorded: Recorded, repeated: Repeated, metric: str, others: Sequence[Run]) -> Checked:
    """Say whether a trial that was run again gives what was recorded.

    Args:
        run: as it was recorded, with all its histories.
        recorded: how it was made.
        repeated: what came of it now.
        metric: the compared one.
        others: all runs of its arm, with the histories of this metric.
    """
    name = called(run)
    if repeated.run is None:
        return Checked((f"  {name}: it could not be run again: {repeated.said}",), unknown=1)
    found = agreement(run, repeated.run, recorded.config, repeated.recorded.config)
    values = f"{found.values:,} values of {counted(found.metrics, 'metric')}"
    if not found.differences:
        return Checked((f"  {name}: {values} are the same to the bit ({repeated.seconds:.1f} s)",))
    apart = unlike(recorded, repeated.recorded, outside=is_outside(run))
    if not apart:
        why = unlike(recorded, repeated.recorded, outside=True)
        told = f" (these differ, too: {named(why, _MOST_REASONS)})" if why else ""
        lines = (f"  {name}: it does not give what was recorded{told}", *_named(found.differences, "the repetition", 4))
        return Checked(lines, len(found.differences))
    far = list(far_apart(run, repeated.run, metric, others))
    if far:
        said = f"  {name}: it differs by more than {named(apart, _MOST_REASONS)} can explain"
        return Checked((said, *_named(far, "the repetition", 4)), len(far))
    first = found.differences[0].in_words("the repetition")
    said = f"  {name}: the same within tolerances ({TOLERANCES}), since these differ: {named(apart, _MOST_REASONS)}"
    return Checked((said, f"    the first that is not the same to the bit is {first}"), near=True)


def called(run: Run) -> str:
    """Return what a run is called in a line."""
    return f"run {run.run_id[:8]} ({run.name})" if run.name else f"run {run.run_id[:8]}"


def _named(found: Sequence[Difference], source: str, indent: int = 2) -> Iterator[str]:
    return _lines([one.in_words(source) for one in found], indent)


def _lines(texts: Sequence[str], indent: int = 2) -> Iterator[str]:
    more = len(texts) - _MOST_SAID
    for text in [*texts[:_MOST_SAID], *([f"and {more:,} more"] if more > 0 else [])]:
        yield f"{' ' * indent}{text}"
