"""How long a value takes from its step to the store while training goes on, and what tracking costs meanwhile.

Run: ``python -m benchmarks.live``. Real commands train on the embedded digits with one thread. This process looks into
the database ten times a second and notes when each step's loss is there first; its step's time is the point's own. The
store is a new one, one of two hundred runs, and one behind an ``mlflow server``; the machine has nothing else to do
from here, or four processes that compute without pause. The cost is measured in new folders, from the first step on,
over the first 400 steps and over a long run, against the same command with nothing tracked. A tracked training also
measures the probe loss, which is work of its own. A third kind of training is tracked and measures none.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from benchmarks.harness import Ratio, machine, ratio, write_json

FIRST, STEPS, SECONDS, WORST_WANTED, OLD_RUNS, BUSY = 400, 4000, 30, 5.0, 200, 4
KINDS = ("a new store", "a store of 200 runs", "an mlflow server")
FIT = [sys.executable, "-m", "lit_lossopt", "fit", "--config=sgd", "--config=digits", "--threads=1"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false", "--trainer.max_epochs=-1"]
TRACKED, WITHOUT_PROBES, UNTRACKED = "tracked", "tracked without probes", "nothing tracked"
ARMS = {
    TRACKED: "--trainer.logger=true",
    WITHOUT_PROBES: "--probe.images=0",
    UNTRACKED: "--trainer.logger=false",
}
_LOOK = 0.1


class Stopwatch(pl.Callback):
    """Writes wall and processor seconds up to some steps, and those of processes started here, to ``watch.json``."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._start: dict[str, float] | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin with the first step."""
        if self._start is None:
            self._start = self._now()
            self.found["began"] = {"wall": time.time()}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time at some steps."""
        if trainer.global_step in (FIRST, STEPS) and self._start:
            now = self._now()
            self.found[str(trainer.global_step)] = {name: now[name] - self._start[name] for name in now}
            Path("watch.json").write_text(json.dumps(self.found), encoding="utf-8")

    @staticmethod
    def _now() -> dict[str, float]:
        beside = children_seconds()
        return {"wall": time.perf_counter(), "processor": time.process_time(), "beside": beside}


def processor_seconds(process: int) -> float:
    """Return the processor seconds that a process has taken; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """Return the processor seconds that the processes started here have taken."""
    return sum(processor_seconds(child) for child in _children())


def _children() -> list[int]:
    files = Path("/proc/self/task").glob("*/children")
    return [int(word) for file in files for word in file.read_text(encoding="utf-8").split()]


def main(repeats: int = 5) -> None:
    """Measure, print and write ``results/live.json``."""
    load = os.getloadavg()[0]
    lags = []
    for busy in (0, BUSY):
        for kind in KINDS:
            lags.append(_lags(kind, busy))
            print(lags[-1], flush=True)
    runs = _costs(repeats)
    ratios = [*_ratios(runs, FIRST), *_ratios(runs, STEPS)]
    for item in ratios:
        print(f"{item.name}: {item.median:.3f} [{item.low:.3f} to {item.high:.3f}]")
    beside = {steps: statistics.median(run[str(steps)]["beside"] for run in runs[TRACKED]) for steps in (FIRST, STEPS)}
    medians = {
        f"{arm}, first {steps} steps": statistics.median(steps / run[str(steps)]["wall"] for run in several)
        for arm, several in runs.items()
        for steps in (FIRST, STEPS)
    }
    content: dict[str, Any] = {"lags": lags, "worst_wanted": WORST_WANTED, "seconds": SECONDS, "load_before": load}
    content |= {"ratios": [asdict(item) for item in ratios]}
    content |= {
        "medians": medians,
        "unit": "steps per second, batch 64, one thread",
        "runs": runs,
        "beside_seconds": beside,
        "first": FIRST,
        "steps": STEPS,
    }
    print(write_json("live", {"machine": machine(), **content}))


def _lags(kind: str, busy: int) -> dict[str, Any]:
    """Return how long values took to the store, over one training."""
    with tempfile.TemporaryDirectory() as name, _busy(busy):
        folder = Path(name)
        database = folder / "mlflow.db"
        if kind == KINDS[1]:
            _make_old(database)
        with _address(kind, database) as uri:
            command = [*FIT, *QUIET, f"--trainer.max_time=00:00:00:{SECONDS}"]
            with (
                (folder / "output.txt").open("w") as output,
                subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=_environment(uri)) as process,
            ):
                found = _watch(database, process)
                if process.wait():
                    raise RuntimeError((folder / "output.txt").read_text(encoding="utf-8"))
    return {
        "store": kind,
        "busy": busy,
        "values": len(found),
        "median": statistics.median(found),
        "p95": statistics.quantiles(found, n=20)[-1],
        "worst": max(found),
        "load_after": os.getloadavg()[0],
    }


def _watch(database: Path, process: subprocess.Popen[bytes]) -> list[float]:
    """Return the lag of each step's loss, to within a tenth of a second; never too short."""
    lags: list[float] = []
    last = 0
    query = (
        "SELECT m.step, m.timestamp FROM metrics m JOIN runs r USING (run_uuid) "
        "WHERE m.key = 'train/loss' AND m.step > ? AND r.start_time > ? ORDER BY m.step"
    )
    began = time.time_ns() // 1_000_000
    ended = False
    while not ended:
        ended = process.poll() is not None
        time.sleep(_LOOK)
        if not database.exists():
            continue
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
            try:
                rows = connection.execute(query, (last, began)).fetchall()
            except sqlite3.OperationalError:
                # A server still makes its tables.
                continue
        now = time.time()
        lags += [now - milliseconds / 1000 for _, milliseconds in rows]
        last = rows[-1][0] if rows else last
    return lags


def _make_old(database: Path) -> None:
    """Make a store in which two hundred trainings have left their runs."""
    code = (
        "import sys; from mlflow.tracking import MlflowClient; from mlflow.entities import Metric\n"
        "client = MlflowClient(sys.argv[1]); experiment = client.create_experiment('lit_lossopt')\n"
        f"for number in range({OLD_RUNS}):\n"
        "    run = client.create_run(experiment, 1, {'lossopt.arm': f'arm {number % 7}'}).info.run_id\n"
        "    client.log_batch(run, [Metric('train/loss', float(n), n, n) for n in range(500)])\n"
        "    client.set_terminated(run)\n"
    )
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{database}"], check=True, capture_output=True)


@contextmanager
def _address(kind: str, database: Path) -> Iterator[str]:
    """Yield the address of a store, and have a server answer there if it is behind one."""
    if kind != KINDS[2]:
        yield f"sqlite:///{database}"
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "--backend-store-uri",
        f"sqlite:///{database}",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--workers",
        "1",
    ]
    with subprocess.Popen(
        [Path(sys.executable).with_name("mlflow"), "server", *words],
        cwd=database.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        start_new_session=True,
    ) as server:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def _wait_for(port: int) -> None:
    for _ in range(1200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep processors busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _environment(uri: str) -> dict[str, str]:
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    return {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": path}


def _costs(repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Return arm → what the stopwatch of each training found; the arm that begins changes."""
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for repetition in range(repeats):
        for arm in sorted(ARMS, reverse=bool(repetition % 2)):
            found[arm].append(_cost(ARMS[arm]))
            print(f"  {repetition + 1}/{repeats} {arm}: {found[arm][-1]}", flush=True)
    return found


def _cost(switch: str) -> dict[str, Any]:
    watch = ["--allow-import=benchmarks", "--trainer.callbacks+=benchmarks.live.Stopwatch"]
    words = [*FIT, *QUIET, *watch, f"--trainer.max_steps={STEPS}", switch]
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(f"sqlite:///{folder}/mlflow.db")
        began = time.time()
        subprocess.run(words, cwd=folder, check=True, capture_output=True, env=environment)
        found: dict[str, Any] = json.loads((Path(folder) / "watch.json").read_text(encoding="utf-8"))
    return {**found, "before_first_step": found.pop("began")["wall"] - began}


def _ratios(runs: dict[str, list[dict[str, Any]]], steps: int) -> list[Ratio]:
    """Return both tracked arms over the untracked one: steps a second, and steps a processor second of the training."""
    found = []
    for clock, name in (("wall", "steps a second"), ("processor", "steps a processor second of the training process")):
        rates = {arm: [steps / run[str(steps)][clock] for run in several] for arm, several in runs.items()}
        found += [
            ratio(f"{name}, first {steps} steps, {arm}", rates[arm], rates[UNTRACKED])
            for arm in (TRACKED, WITHOUT_PROBES)
        ]
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
