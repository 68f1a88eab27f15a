"""The race of four optimizers on the embedded digits, as it falls, beside what eight fixed seeds would have shown.

Run: ``python -m benchmarks.race_digits``; three minutes of training on two cores. The eight fixed seeds are the first
eight of the race, where every arm has as many. Otherwise the missing ones are trained.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.harness import machine, write_json
from lit_lossopt.__main__ import main as lossopt
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.report.verdict.race import race_sentences
from lit_lossopt.core.names import TAG_PHASE

PLAN = "sweep_race"
TUNING = "tuning"


def main() -> None:
    """Run the race and the fixed design, and write the JSON."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        if status := lossopt(["sweep", "--config", PLAN]):
            raise SystemExit(status)
        found = _compared("race")
        if found.race is None:
            raise SystemExit("the runs are no race")
        content = {
            "arms": len(found.arms),
            "seeds": dict(found.race.seeds_of),
            "repeats": found.race.trainings,
            "tuning": _tuning_trials(),
            "decided": {" and ".join(sorted(pair)): size for pair, size in found.race.decided.items()},
            "words": [answer(found)[0], *race_sentences(found)],
            "fixed": _fixed_eight(),
            "command": "python -m benchmarks.race_digits",
            "machine": machine(),
        }
        os.chdir(Path(__file__).parent.parent)
        print(write_json("race_digits", content))


def _compared(what: str) -> Comparison:
    options = parse(["--experiment", PLAN, "--all-pairs"])
    return compared(find_runs(options).runs, options, title=what)


def _tuning_trials() -> int:
    options = parse(["--experiment", PLAN])
    return sum(run.tags.get(TAG_PHASE) == TUNING for run in find_runs(options).runs)


def _fixed_eight() -> dict[str, object]:
    """Return what the same plan finds with eight fixed seeds.

    The plan's runs of these seeds are taken over.
    """
    text = (Path(__file__).parent.parent / "configs" / f"{PLAN}.yaml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith(("  protocol:", "  race:"))]
    Path(f"{PLAN}.yaml").write_text("\n".join([*kept, ""]), encoding="utf-8")
    if status := lossopt(["sweep", "--config", f"{PLAN}.yaml", "--seeds", "8"]):
        raise SystemExit(status)
    found = _compared("fixed")
    return {
        "repeats": sum(len(arm.trials) for arm in found.arms),
        "claimed": sum(one.claimed for one in found.finals),
        "equivalent": sum(one.equivalent for one in found.finals),
        "pairs": len(found.finals),
        "words": list(answer(found)),
    }


if __name__ == "__main__":
    main()
