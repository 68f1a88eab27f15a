"""What processes do that the tests of the fork server start."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lit_lossopt.sweeps.engines.fork_server import ForkServer, Started

THIS = "tests.support.forked"


def look(name: str) -> int:
    """Tell what a child sees."""
    seen = {"folder": str(Path.cwd()), "variable": os.environ.get(name), "group": os.getpgrp() == os.getpid()}
    print(json.dumps({**seen, "input": sys.stdin.read()}))
    print("and an error", file=sys.stderr)
    return 7


def crash() -> int:
    """End with an exception."""
    raise RuntimeError("on purpose")


def leave(status: int) -> int:
    """End the way that argparse does."""
    sys.exit(status)


def sleep() -> int:
    """Wait to be killed."""
    time.sleep(3600)
    return 0


def sleep_alone() -> int:
    """Wait to be killed, without the kernel's help where it gives any."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 0)
    print("waits", flush=True)
    return sleep()


def ignore_sigterm() -> int:
    """Take no hint."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    return sleep()


def with_offspring() -> int:
    """Start a process of one's own, tell its id, and wait to be killed."""
    child = os.fork()
    if child == 0:
        time.sleep(3600)
    print(child, flush=True)
    return sleep()


def asking_process(folder: str) -> None:
    """Start a server and three children, tell their ids, and wait to be killed."""
    server = ForkServer()
    for call in ("sleep", "sleep_alone", "ignore_sigterm"):
        server.start(f"{THIS}:{call}", [], Path(folder), Path(folder) / f"{call}.txt", {})
    processes = [server.process]
    while len(processes) < 4:
        processes += [reply.process for reply in server.replies(60) if isinstance(reply, Started)]
    print(json.dumps(processes), flush=True)
    sleep()


def save(*_: object) -> None:
    """Take a second to save, as a training does."""
    time.sleep(1)
    Path("saved").touch()
    sys.exit(143)


_ON_SIGTERM: dict[str, Any] = {"sleep": signal.SIG_DFL, "deaf": signal.SIG_IGN, "saves": save}


def as_told(words: list[str]) -> int:
    """Be a trial: end with a status, crash, sleep, wait at first, or be killed so often; tell what it sees."""
    action, number = words[0], int(words[1])
    # Before the log, at which tests look and send signals.
    if action in _ON_SIGTERM:
        signal.signal(signal.SIGTERM, _ON_SIGTERM[action])
    with Path(f"{action}{number}.log").open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {os.getppid()} {' '.join(words[2:])} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
    print(f"{action} {number}", flush=True)
    if action == "crash":
        crash()
    attempts = len(Path(f"{action}{number}.log").read_text(encoding="utf-8").splitlines())
    if action in _ON_SIGTERM or (action == "waits" and attempts == 1):
        time.sleep(3600)
    if action == "killed" and attempts <= number:
        os.kill(os.getpid(), signal.SIGKILL)
    return number if action == "exit" else 0


if __name__ == "__main__":
    asking_process(sys.argv[1])
