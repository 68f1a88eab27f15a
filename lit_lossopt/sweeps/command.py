"""The command ``lossopt sweep``.

It runs a sweep by its plan, and at its end compares the runs.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lit_lossopt.comparison.expectations import answer_of
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit, Status
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.program import typed
from lit_lossopt.core.redaction import redact
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.sweeps.engines.table import Wishes, build_engine
from lit_lossopt.sweeps.lock import FOLDER, alone
from lit_lossopt.sweeps.options import Options, dry_run, read_options, resources, the_plan
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.trial import Engine
from lit_lossopt.tracking.next_steps import places_to_look

if TYPE_CHECKING:
    from lit_lossopt.comparison.command import Shown
    from lit_lossopt.tracking.sweeps import SweepRuns

# What the first minutes show: the shipped plan that needs no network.
DEMO = ("--config", "sweep_quick")
Main = Callable[[list[str]], int]


def sweep(words: Sequence[str], main: Main) -> int:
    """Run a sweep, compare, and return the exit status.

    It is 1 where something failed or is left, and 130 or 143 where the sweep was interrupted. Otherwise it is that of
    ``compare``.

    Args:
        words: behind ``sweep``.
        main: runs the words of a command and returns its exit status.

    Raises:
        UserError: the plan or what was typed is wrong, the store does not answer, or this sweep is running already.
    """
    return run_plan(words, main)[0]


def run_plan(words: Sequence[str], main: Main, again: str = "") -> tuple[int, Shown | None]:
    """Run a sweep, compare, and return the exit status and the comparison.

    There is no comparison where none could be made, after an interruption, and after a dry run. See ``sweep``.

    Args:
        words: behind ``sweep``.
        main: runs the words of a command and returns its exit status.
        again: what goes on after an interruption. By default it is the command of these words.
    """
    options = read_options(words)
    plan = the_plan(options)
    if options.dry_run:
        print("\n".join(dry_run(plan, options)))
        return 0, None
    shown: Shown | None = None
    with alone(plan.experiment):
        status, runs, last_lines = _run(plan, options, words, main)
    if status in (Exit.DONE, Exit.FAILED):
        shown = _compare(plan, runs, options)
        # What failed wins over what the comparison says to expectations.
        status = Exit.FAILED if shown is None else status or answer_of(shown.expectations)
        last_lines += ["the comparison failed; the same command compares again"] if shown is None else []
    else:
        last_lines.append(f"  {again or typed(['sweep', *words])}")
    tell("\n".join(["", *last_lines, *places_to_look(runs.experiment_id, runs.uri)]), sys.stdout)
    return status, shown


def demo(words: Sequence[str], main: Main) -> int:
    """Run the sweep of the demo; see ``sweep``."""
    return sweep([*DEMO, *words], main)


def _run(plan: Plan, options: Options, words: Sequence[str], main: Main) -> tuple[int, SweepRuns, list[str]]:
    """Run the sweep.

    Return its exit status, its runs, and what is to be said at the end.
    """
    from lit_lossopt.sweeps.engines.interruption import Interrupted, raised_sigterm
    from lit_lossopt.sweeps.progress import ShownEngine, SweepDisplay
    from lit_lossopt.sweeps.protocol import Sweep, begin
    from lit_lossopt.sweeps.summary import best_by_arm, summary
    from lit_lossopt.tracking.sweeps import SweepRuns

    engine, runs = engine_for(plan, options, main), SweepRuns(plan.experiment, plan.name)
    begin(plan, runs, print)
    display = SweepDisplay(lambda: best_by_arm(the_sweep))
    shown = ShownEngine(engine, display)
    the_sweep = Sweep(plan, runs, shown, lambda _: None, display.say, options.keep_checkpoints, display.stand)
    status, ending = int(Exit.INTERRUPTED), Status.KILLED
    try:
        with raised_sigterm(), display:
            status = the_sweep.run()
        ending = Status.FAILED if status else Status.FINISHED
    except Interrupted as stop:
        status = stop.status
    except KeyboardInterrupt:
        pass
    finally:
        typed = [
            f"lossopt sweep {shlex.join(words)}",
            "",
            *(f"lossopt {shlex.join(t.words)}" for t in the_sweep.trials.values()),
        ]
        runs.end(ending, {"plan.yaml": plan.text, "commands.txt": "\n".join([*typed, ""])})
    return status, runs, summary(the_sweep, interrupted=ending == Status.KILLED)


def engine_for(plan: Plan, options: Options, main: Main) -> Engine:
    """Return the engine that was asked for."""
    seconds = 60 * plan.trial_minutes if plan.trial_minutes else None
    return build_engine(options.engine, Wishes(resources(plan, options), seconds, options.ray_address, main))


def _compare(plan: Plan, runs: SweepRuns, options: Options) -> Shown | None:
    """Show the verdict on the sweep's runs, and return it, or None if nothing could be compared.

    Its page is written, and both are kept with the parent run.
    """
    from lit_lossopt.comparison.command import show_comparison
    from lit_lossopt.comparison.report.answer_metrics import answer_metrics

    name = plan.name if plan.name == plan.experiment else f"{plan.experiment}-{plan.name}"
    page = given_path(options.report or f"{FOLDER}/{name}.html")
    words = ["--experiment", plan.experiment, "--filter", runs.filter(), "--html", str(page)]
    words += ["--json", options.json] if options.json else []
    expected = [word for text in options.expect for word in ("--expect", text)]
    try:
        shown = show_comparison([*words, *expected])
    except UserError as error:
        tell(redact(f"lossopt: {error}"), sys.stderr)
        # An arm of which every run failed is no arm of the comparison. The others still are.
        if expected:
            with suppress(UserError):
                show_comparison(words)
        return None
    runs.keep(page)
    runs.answer(answer_metrics(shown.comparison), shown.words)
    return shown
