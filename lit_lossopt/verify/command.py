"""The command ``lossopt verify``.

A page or its JSON comes in. It is computed again from the store, some of its trials are run again, and what does not
hold is named.
"""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lit_lossopt.comparison.record.text import read_tree
from lit_lossopt.core.names import Answer
from lit_lossopt.core.numbers import counted, spelled
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.reading.runs import NoSuchRunError, Run, experiments_of, with_histories
from lit_lossopt.verify.checks import (
    Checked,
    chosen,
    finals_of,
    of_a_repetition,
    of_configs,
    of_the_page,
    of_the_store,
)
from lit_lossopt.verify.recompute import compute_again
from lit_lossopt.verify.recorded import Recorded, read_recorded
from lit_lossopt.verify.request import SAMPLE, parse
from lit_lossopt.verify.rerun import run_again

Main = Callable[[list[str]], int]


def verify(words: Sequence[str], main: Main) -> int:
    """Check a page or its JSON, say what does not hold, and return the exit status.

    It is 0 where everything holds, 4 where something does not, and 5 where trials that were asked for could not be run
    again, or configs are gone.

    Args:
        words: behind ``verify``.
        main: runs the words of a command in this process.

    Raises:
        UserError: the file holds no comparison, the store cannot be read, or what was typed is wrong.
        Interrupted: Ctrl-C or SIGTERM, while trials run.
    """
    options = parse(words)
    wrong = unknown = 0
    for found in _checks(options, main):
        tell("\n".join(found.lines), sys.stdout)
        wrong, unknown = wrong + found.wrong, unknown + found.unknown
    if wrong:
        tell(f"{options.file} does not hold: {counted(wrong, 'difference')}.", sys.stdout)
        return Answer.CONTRADICTED
    if unknown:
        tell(f"Nothing contradicts {options.file}, but not everything could be checked.", sys.stdout)
        return Answer.UNDECIDED
    tell(f"{options.file} holds.", sys.stdout)
    return Answer.HOLDS


def _checks(options: Namespace, main: Main) -> Iterator[Checked]:
    tree, text = read_tree(given_path(options.file))
    try:
        again = compute_again(tree)
    except NoSuchRunError as error:
        yield Checked((f"It cannot be computed again. {str(error).capitalize()}.",), wrong=1)
        return
    yield of_the_store(again)
    if text:
        yield of_the_page(text, again)
    counted_runs = _runs_that_count(again.shown.record, again.runs)
    recorded = {run.run_id: read_recorded(run.run_id) for run in counted_runs}
    yield of_configs(counted_runs, recorded)
    yield from _repetitions(options, again.shown.record, counted_runs, recorded, main)


def _runs_that_count(tree: Mapping[str, Any], runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are compared, and the trials that found their settings."""
    wanted = {one["run_id"] for part in ("runs", "tuning") for one in tree[part]}
    return [run for run in runs if run.run_id in wanted]


def _repetitions(
    options: Namespace, tree: Mapping[str, Any], runs: Sequence[Run], recorded: Mapping[str, Recorded], main: Main
) -> Iterator[Checked]:
    """Run some trials again, and say what came of them."""
    asked = SAMPLE if options.sample is None else options.sample
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    picked, reasons = chosen(runs, asked, seed)
    if not picked:
        if asked:
            # Who has not asked for it misses nothing.
            missing = 0 if options.sample is None else asked
            yield Checked((f"No trial was run again: {'; '.join(reasons) or 'there is none'}.",), unknown=missing)
        return
    of = f"{spelled(len(picked))} of {len(runs)}"
    yield Checked((f"Running {of} trials again, chosen by --seed {seed} …",))
    names_of = {one.experiment_id: one.name for one in experiments_of(picked)}
    done = run_again(
        {run.run_id: (run, recorded[run.run_id], names_of[run.experiment_id]) for run in picked}, options.workers, main
    )
    finals = finals_of(tree)
    for run in with_histories(picked):
        yield of_a_repetition(
            run, recorded[run.run_id], done[run.run_id], tree["question"]["metric"], finals.get(run.run_id, [])
        )
