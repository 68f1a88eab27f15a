"""``lossopt sweep``: the sweep by its plan, and at its end the comparison of its runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from lit_lossopt.errors import UserError
from lit_lossopt.sweep.command import Options, dry_run, read_options, the_plan, workers
from lit_lossopt.sweep.plan_file import Plan
from lit_lossopt.sweep.trial import Engine

INTERRUPTED = 130
Main = Callable[[list[str]], int]


def sweep(words: Sequence[str], main: Main) -> int:
    """Run a sweep, then compare; return 0, 1 where trials failed or are left, 130 after Ctrl-C.

    Args:
        words: behind ``sweep``.
        main: runs the words of a command and returns its exit status.

    Raises:
        UserError: the plan or what was typed is wrong, the store does not answer, or this sweep is running already.
    """
    options = read_options(words)
    plan = the_plan(options)
    if options.dry_run:
        print("\n".join(dry_run(plan, options)))
        return 0
    from lit_lossopt.sweep.lock import alone

    with alone(plan.experiment):
        status, parent = _run(plan, options, words, main)
    if status != INTERRUPTED:
        _compare(parent, options, main)
    return status


def _run(plan: Plan, options: Options, words: Sequence[str], main: Main) -> tuple[int, str]:
    """Run the sweep; return its exit status and its parent run."""
    from lit_lossopt.sweep.plan import fingerprint
    from lit_lossopt.sweep.run import Sweep, begin, summary
    from lit_lossopt.tracking.sweeps import SweepRuns

    runs = SweepRuns(plan.experiment, plan.name)
    begin(plan, runs, fingerprint(plan), _say)
    one = Sweep(plan, runs, _engine(plan, options, main), lambda _: None, _say, options.keep_checkpoints)
    status, ending = INTERRUPTED, "KILLED"
    try:
        status = one.run()
        ending = "FAILED" if status else "FINISHED"
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on")
    finally:
        typed = f"lossopt sweep {shlex.join(words)}\n"
        commands = "".join(f"lossopt {shlex.join(trial.words)}\n" for trial in one.trials.values())
        runs.end(ending, {"plan.yaml": plan.path.read_text(encoding="utf-8"), "sweep.txt": typed + commands})
    for line in summary(one):
        _say(line)
    return status, runs.parent


def _engine(plan: Plan, options: Options, main: Main) -> Engine:
    from dataclasses import replace

    resources = replace(options.resources, workers=workers(options.resources, plan.threads), threads=plan.threads)
    if options.engine == "here":
        from lit_lossopt.sweep.in_process import InProcessEngine

        return InProcessEngine(main)
    if options.engine == "local":
        from lit_lossopt.sweep.local import LocalEngine

        return LocalEngine(resources)
    raise UserError(f"--engine {options.engine}: not there yet")


def _compare(parent: str, options: Options, main: Main) -> None:
    """Show verdict and page of the sweep's runs."""


def _say(text: str) -> None:
    print(text, flush=True)
