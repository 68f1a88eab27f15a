"""The steps of ``lossopt verify``, one after the other."""

from __future__ import annotations

import secrets
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lit_lossopt.comparison.record.text import read_tree
from lit_lossopt.core import names
from lit_lossopt.core.numbers import counted
from lit_lossopt.core.paths import given_path
from lit_lossopt.tracking.reading.branches import own_part
from lit_lossopt.tracking.reading.runs import NoSuchRunError, Run, experiments_of, with_histories
from lit_lossopt.verify.checks import Checked, chosen, of_a_repetition, of_configs, of_the_page, of_the_store
from lit_lossopt.verify.recompute import compute_again
from lit_lossopt.verify.recorded import Recorded, read_recorded
from lit_lossopt.verify.request import SAMPLE
from lit_lossopt.verify.rerun import run_again


def steps(options: Namespace, main: Callable[[list[str]], int]) -> Iterator[Checked]:
    """Yield what each step finds, as it is found.

    Args:
        options: as ``request.parse`` returns them.
        main: runs the words of a command in this process.

    Raises:
        UserError: the file holds no comparison, or the store cannot be read.
    """
    tree, text = read_tree(given_path(options.file))
    try:
        again = compute_again(tree, options.file)
    except NoSuchRunError as error:
        said = str(error)
        yield Checked((f"It cannot be computed again. {said[:1].upper()}{said[1:]}.",), wrong=1)
        return
    yield from of_the_store(again)
    if text:
        yield of_the_page(text, again)
    runs = _runs_that_count(again.shown.record, again.runs)
    recorded = {run.run_id: read_recorded(run.run_id) for run in runs}
    yield from of_configs(runs, recorded)
    yield from _repetitions(options, again.shown.record, runs, recorded, main)


def _runs_that_count(tree: Mapping[str, Any], runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are compared, and the trials that found their settings."""
    wanted = {one["run_id"] for part in ("runs", "tuning") for one in tree[part]}
    return [run for run in runs if run.run_id in wanted]


def _repetitions(
    options: Namespace,
    tree: Mapping[str, Any],
    runs: Sequence[Run],
    recorded: Mapping[str, Recorded],
    main: Callable[[list[str]], int],
) -> Iterator[Checked]:
    """Run some trials again, and say what came of them."""
    asked = SAMPLE if options.sample is None else options.sample
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    picked, reasons = chosen(runs, recorded, asked, seed)
    if not picked:
        if asked:
            # Who has not asked for it misses nothing.
            missing = 0 if options.sample is None else asked
            yield Checked((f"No trial was run again: {'; '.join(reasons) or 'there is none'}.",), unknown=missing)
        return
    yield Checked((f"Running {len(picked)} of {counted(len(runs), 'trial')} again, chosen by --seed {seed} …",))
    names_of = {one.experiment_id: one.name for one in experiments_of(picked)}
    done = run_again(
        {run.run_id: (run, recorded[run.run_id], names_of[run.experiment_id]) for run in picked}, options.workers, main
    )
    metric = tree["question"]["metric"]
    # A branch was begun again from the same state. What it has behind it was not trained again.
    for run in map(own_part, with_histories(picked)):
        others = list(map(own_part, with_histories(_of_its_arm(run, tree, runs), [metric, names.TRAIN_LOSS])))
        yield of_a_repetition(run, recorded[run.run_id], done[run.run_id], metric, others)


def _of_its_arm(run: Run, tree: Mapping[str, Any], runs: Sequence[Run]) -> list[Run]:
    arm_of = {one["run_id"]: one["arm"] for one in tree["runs"]}
    return [one for one in runs if one.run_id in arm_of and arm_of[one.run_id] == arm_of.get(run.run_id)]
