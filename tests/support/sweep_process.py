"""A process that runs ``lossopt sweep``, seen from outside, and the killing of what it starts."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote, alive, wait_until_dead


class SweepProcess:
    """``lossopt sweep`` by ``plan.yaml`` of a folder, in a process of its own."""

    def __init__(self, zygote: Zygote, folder: Path, *words: str) -> None:
        self.zygote = zygote
        self.output = folder / "output.txt"
        command = ["sweep", "--config", "plan.yaml", "--workers", "2", *words]
        environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        self.process = zygote.start(command, folder, self.output, environment)

    def workers(self) -> list[int]:
        """Return the processes of its trials: the children of its server."""
        return [child for server in children_of(self.process) for child in children_of(server)]

    def wait_for_workers(self, count: int) -> None:
        wait_until(lambda: len(self.workers()) >= count, self.output.read_text)

    def kill_workers(self, count: int, moments: random.Random, longest: float, spared: set[str]) -> int:
        """Kill so many trials' processes at random moments; return how many there were to kill.

        Args:
            count: how many.
            moments: when, and which.
            longest: seconds between two.
            spared: trials that are not killed; takes those that were.
        """
        killed = 0
        while killed < count and alive(self.process):
            time.sleep(moments.uniform(0, longest))
            found = {trial_of(worker): worker for worker in self.workers()}
            names = sorted(found.keys() - spared - {""})
            if names:
                name = moments.choice(names)
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(found[name], signal.SIGKILL)
                    spared.add(name)
                    killed += 1
        return killed

    def kill(self) -> set[str]:
        """Kill it, and see that its family dies with it; return the trials that were running."""
        workers = self.workers()
        running = {trial_of(worker) for worker in workers} - {""}
        family = [self.process, *children_of(self.process), *workers]
        os.kill(self.process, signal.SIGKILL)
        assert self.zygote.wait(self.process) == -signal.SIGKILL
        assert not wait_until_dead(family)
        return running


def children_of(process: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{process}/task").iterdir()
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def trial_of(worker: int) -> str:
    """Return the name of the file that a trial prints to, or an empty text."""
    try:
        path = Path(f"/proc/{worker}/fd/1").readlink()
    except OSError:
        return ""
    return path.stem if path.parent.name == "output" else ""
