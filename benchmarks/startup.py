"""The time from a command to its first step, what is imported on the way and why, and what a trial of a sweep adds.

Run: ``python -m benchmarks.startup [--repeats 7] [--other PATH]``. ``PATH`` is another checkout, as of
``git worktree``, which is measured in the same repetitions as the state before. Each repetition runs all arms one after
the other, in an order that rotates, each in a new folder. Two scripts stand beside the command: one that imports torch
and torchvision, and one that imports Lightning and logs to MLflow. Processor seconds are those of the training's
process, with what processes beside it have taken apart from it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import startup_watch
from benchmarks.harness import machine, ratio, write_json
from benchmarks.startup_reasons import packages, reason

HERE = Path(__file__).parent.parent
TRIALS, PROFILES, WANTED = 6, 2, 0.5
TRACKED, AGAIN, UNTRACKED = "fit, a new store", "fit, a store that is there", "fit, nothing tracked"
HELP, MISTAKE = "--help", "a misspelt key"
TRIAL, PLAIN, LOGGED = "a trial", "a script: torch and torchvision", "a script: Lightning and its MLFlowLogger"
BEFORE = ", before"
PYTHON = "Python's own library"
_FIT = ["fit", "--config=digits", "--trainer.max_steps=1", "--trainer.enable_progress_bar=false", "--threads=1"]
_WATCHED = ["--allow-import=startup_watch", "--trainer.callbacks+=startup_watch.FirstStep"]
_COMMANDS = {
    TRACKED: [*_FIT, *_WATCHED],
    AGAIN: [*_FIT, *_WATCHED],
    UNTRACKED: [*_FIT, *_WATCHED, "--trainer.logger=false"],
    HELP: ["fit", "--help"],
    MISTAKE: [*_FIT, "--trainer.max_stpes=1"],
}
_SCRIPTS = {
    PLAIN: """
import startup_watch, torch, torchvision
network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 10))
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
loss = torch.nn.functional.cross_entropy(network(torch.rand(64, 1, 8, 8)), torch.randint(10, (64,)))
loss.backward(); optimizer.step()
startup_watch.mark("the first step"); startup_watch.write()
""",
    LOGGED: """
import startup_watch, mlflow, torch, torchvision, lightning.pytorch as pl
from lightning.pytorch.loggers import MLFlowLogger
from torch.utils.data import DataLoader, TensorDataset
class Network(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                                           torch.nn.Linear(288, 10))
    def training_step(self, batch, index):
        loss = torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def on_train_batch_end(self, *_):
        startup_watch.mark("the first step"); startup_watch.write()
images = DataLoader(TensorDataset(torch.rand(64, 1, 8, 8), torch.randint(10, (64,))), batch_size=64)
trainer = pl.Trainer(max_steps=1, log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False,
                     accelerator="cpu", logger=MLFlowLogger("one", tracking_uri="sqlite:///mlflow.db"))
trainer.fit(Network(), images)
""",
}
Run = dict[str, Any]


def main(repeats: int, other: Path | None) -> None:
    """Measure, print and write ``results/startup.json``."""
    with tempfile.TemporaryDirectory() as name:
        tools = Path(name)
        shutil.copy(startup_watch.__file__, tools)
        content: dict[str, Any] = {"machine": machine(), "commit_before": _commit(other), "wanted_trial": WANTED}
        content["imports"] = {state: _imports(tools, place) for state, place in _checkouts(other).items()}
        found: dict[str, list[Run]] = defaultdict(list)
        for repetition in range(repeats):
            _repeat({**_arms(tools, other), **_trial_arms(tools, other)}, repetition, found)
            runs = {name: several for name, several in found.items() if not name.startswith(TRIAL)}
            ratios = list(map(asdict, _ratios(runs, other is not None)))
            content |= {"load_after": os.getloadavg()[0], "trials_a_sweep": TRIALS, "ratios": ratios, "runs": runs}
            content["trials"] = {name: found[name] for name in found if name.startswith(TRIAL)}
            # After each repetition: what is measured is kept, whenever it is stopped.
            print(write_json("startup", content))
    for one in ratios:
        print(f"{one['name']}: {one['median']:.2f} [{one['low']:.2f} to {one['high']:.2f}]")


def _checkouts(other: Path | None) -> dict[str, Path]:
    return {"": HERE, **({BEFORE: other.resolve()} if other else {})}


def _commit(other: Path | None) -> str:
    if other is None:
        return ""
    words = ["git", "-C", str(other), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def _arms(tools: Path, other: Path | None) -> dict[str, Callable[[], Run]]:
    """Return arm → what runs it once."""
    arms: dict[str, Callable[[], Run]] = {}
    for state, checkout in _checkouts(other).items():
        for name, words in _COMMANDS.items():
            program = ["-c", "import startup_watch; startup_watch.run()", *words]
            arms[name + state] = partial(_run, program, _environment(tools, checkout), warm=name == AGAIN)
    for name, text in _SCRIPTS.items():
        arms[name] = partial(_run, ["-c", text], _environment(tools, HERE))
    return arms


def _environment(tools: Path, checkout: Path) -> dict[str, str]:
    unset = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    path = os.pathsep.join(map(str, (checkout, tools)))
    return {**unset, "PYTHONPATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}


def _run(program: Sequence[str], environment: Mapping[str, str], *, warm: bool = False) -> Run:
    """Run a program in a new folder, in which it has been run before if ``warm``, and return what it took."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(1 + warm):
            found = _once(program, environment, Path(folder))
    return found


def _once(program: Sequence[str], environment: Mapping[str, str], folder: Path) -> Run:
    output = folder / "output.txt"
    before = os.times()
    began = time.time()
    with output.open("w", encoding="utf-8") as file:
        status = subprocess.run(
            [sys.executable, *program],
            cwd=folder, env={**environment, "STARTUP_BEGAN": repr(began)}, stdout=file, stderr=file, check=False,
        ).returncode  # fmt: skip
    whole = time.time() - began
    after = os.times()
    if status not in (0, 2):
        raise RuntimeError(output.read_text(encoding="utf-8"))
    used = after.children_user + after.children_system - before.children_user - before.children_system
    found: Run = {"whole": {"wall": whole, "processor": used}}
    notes = folder / startup_watch.FOUND
    if notes.exists():
        noted = json.loads(notes.read_text(encoding="utf-8"))
        *_, (_, wall, processor) = noted["marks"]
        found["first_step"] = {"wall": wall, "processor": processor, "beside": noted["beside"]}
        steps = pairwise([("", 0.0, 0.0), *noted["marks"]])
        found["phases"] = {name: {"wall": w - v, "processor": p - q} for (_, v, q), (name, w, p) in steps}
    return found


def _repeat(arms: Mapping[str, Callable[[], Run]], repetition: int, found: dict[str, list[Run]]) -> None:
    """Run all arms once and add what each took; the arm that begins changes."""
    names = list(arms)
    shift = repetition % len(names)
    for name in names[shift:] + names[:shift]:
        found[name].append(arms[name]())
        last = {key: value for key, value in found[name][-1].items() if key in ("whole", "first_step", "outside")}
        print(f"  {repetition + 1} {name}: {last}", flush=True)


def _trial_arms(tools: Path, other: Path | None) -> dict[str, Callable[[], Run]]:
    return {
        f"{TRIAL}{state}": partial(_trials, _environment(tools, place)) for state, place in _checkouts(other).items()
    }


def _trials(environment: Mapping[str, str]) -> Run:
    """Return what each trial of a small sweep took: to its first step, and outside its steps."""
    code = f"import startup_watch; startup_watch.trials({TRIALS})"
    with _folder() as folder:
        output = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=dict(environment), check=True, capture_output=True, text=True
        ).stdout
    found: Run = json.loads(output.splitlines()[-1])
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _imports(tools: Path, checkout: Path) -> list[Run]:
    """Return each package that is there at the first step of a tracked training, with its own seconds and a reason.

    These are processor seconds, the least of several runs, without those of the packages that it imports.
    """
    found = [_costs(_environment(tools, checkout)) for _ in range(PROFILES)]
    modules, there = found[0]["modules"], []
    for name in sorted(packages(modules) - {"startup_watch"} | {PYTHON}):
        own = [sum(seconds for module, seconds in one["costs"].items() if _package(module) == name) for one in found]
        count = sum(_package(module) == name for module in modules)
        why = "everybody" if name == PYTHON else reason(name)
        there.append({"package": name, "seconds": min(own), "modules": count, "reason": why})
    return sorted(there, key=lambda one: -float(one["seconds"]))


def _package(module: str) -> str:
    top = module.partition(".")[0]
    return PYTHON if top in sys.stdlib_module_names else top


def _costs(environment: Mapping[str, str]) -> Run:
    """Return the modules at the first step of a training, and what the import of each took."""
    program = ["-c", "import startup_watch; startup_watch.run(costs=True)", *_COMMANDS[TRACKED]]
    with _folder() as folder:
        _once(program, environment, folder)
        found: Run = json.loads((folder / startup_watch.FOUND).read_text(encoding="utf-8"))
    return found


def _ratios(runs: Mapping[str, list[Run]], with_before: bool) -> list[Any]:
    """Return ratios of seconds up to the first step, in both clocks."""
    arms = [TRACKED, AGAIN, UNTRACKED]
    pairs = [(arm, arm + BEFORE) for arm in arms] if with_before else []
    pairs += [(TRACKED, LOGGED), (AGAIN, LOGGED), (UNTRACKED, PLAIN)]
    found = []
    for clock in ("wall", "processor"):
        values = {
            arm: [one["first_step"][clock] for one in several]
            for arm, several in runs.items()
            if "first_step" in several[0]
        }
        found += [ratio(f"{top} / {bottom}, {clock}", values[top], values[bottom]) for top, bottom in pairs]
    return found


def median(several: Sequence[Run], what: str, clock: str) -> float:
    """Return the median over repetitions of one of the measured times."""
    return statistics.median(float(one[what][clock]) for one in several)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--other", type=Path)
    given = parser.parse_args()
    main(given.repeats, given.other)
