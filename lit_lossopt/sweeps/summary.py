"""What a sweep has found so far, and its last lines."""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.core.names import Verdict
from lit_lossopt.sweeps.progress import described
from lit_lossopt.sweeps.protocol import Sweep
from lit_lossopt.sweeps.selection import final


def best_by_arm(sweep: Sweep) -> dict[str, float]:
    """Return the best final accuracy of each arm so far."""
    found: dict[str, float] = {}
    for key, run in sweep.runs.known.items():
        if key in sweep.trials and run.verdict != Verdict.DIVERGED and run.accuracies:
            arm = sweep.trials[key].arm
            found[arm] = max(final(run.accuracies), found.get(arm, 0.0))
    return found


def summary(sweep: Sweep, *, interrupted: bool = False) -> list[str]:
    """Return the last lines.

    They say what diverged, what failed, and how to go on.
    """
    results = sweep.results()
    diverged = [described(sweep.trials[key]) for key, run in results.items() if run.verdict == Verdict.DIVERGED]
    lines = [f"{len(results)} of {len(sweep.trials)} trials have results"]
    if diverged:
        lines.append(f"diverged, which is a result: {len(diverged)}: {_few(diverged)}")
    waiting = sweep.untested(results)
    if waiting:
        lines.append(f"{len(waiting)} tests are still to run")
    lines += [f"failed: {text}" for text in sweep.failed.values()]
    lines += sweep.notes
    if interrupted:
        lines.append("interrupted; what has ended is kept, and the same command goes on:")
    elif sweep.left or sweep.failed.keys() - sweep.given_up:
        lines.append("the same command runs what is missing")
    return lines


def _few(texts: Sequence[str]) -> str:
    return "; ".join([*texts[:3], *(["…"] if len(texts) > 3 else [])])
