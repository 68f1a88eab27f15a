"""One process for each device.

They are started together, told of signals together, and ended together.

The process that was typed trains nothing: it starts the others (ranks 0 … N − 1), hands signals on, and sees to it that
none is left behind. It needs no torch, so that all ranks import theirs at the same time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from lit_lossopt.config.strict_yaml import load_value
from lit_lossopt.config.words import Prepared, only_looks
from lit_lossopt.core import signals
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.machine import cores
from lit_lossopt.core.terminal_text import tell

# Exit status of a rank that cannot go on because another has ended.
LOST = 4
# Exit status of a run that diverged: all ranks see it at the same step, and the first may still be delivering values.
_ORDERLY = (0, 3)
# Seconds in which the other ranks end by themselves once one has ended before its time, or a signal has come.
GRACE = 20.0
_LOOK_EVERY = 0.1
_MARK = "LOSSOPT_RANK_OF"


@dataclass(frozen=True)
class Rank:
    """A process that was started.

    It holds what the process says of errors. The first rank says it to the person.
    """

    number: int
    process: subprocess.Popen[bytes]
    errors: IO[bytes] | None


def processes_to_start(prepared: Prepared) -> int:
    """Return how many processes a command needs beside this one.

    It is 0 where this one does the work.

    Raises:
        UserError: whoever started this process started another number than was asked for.
    """
    if os.environ.get(_MARK) or only_looks(prepared):
        return 0
    devices, nodes = _devices(prepared), _setting(prepared, "num_nodes", 1)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        started = int(os.environ.get("WORLD_SIZE", "1"))
        if started != devices * nodes:
            raise UserError(
                f"trainer.devices={devices}: torchrun has started {started} processes; the two must agree "
                "(--trainer.devices is the number on each machine)"
            )
        return 0
    if nodes != 1:
        raise UserError(f"trainer.num_nodes={nodes}: start several machines with torchrun")
    if devices > 1 and prepared.command == "predict":
        raise UserError(f"trainer.devices={devices}: predict writes one table, on one device; add --trainer.devices=1")
    return devices if devices > 1 else 0


def launch(prepared: Prepared, count: int) -> int:
    """Run a command on ``count`` devices of this machine.

    Return its exit status, once all processes have ended.
    """
    environment = _environment(prepared, count)
    ranks: list[Rank] = []
    try:
        with _signals_to(ranks) as received:
            ranks += [_start(prepared.words, number, environment) for number in range(count)]
            return _status(ranks, *_wait(ranks, received))
    finally:
        for rank in ranks:
            if rank.process.poll() is None:
                rank.process.kill()
            rank.process.wait()
            rank.process.stdin.close()  # type: ignore[union-attr]  # a pipe
            if rank.errors:
                rank.errors.close()


def become_rank() -> None:
    """Set up a process that is one of several.

    It says nothing unless it is the first. It ends if its starter is gone.
    """
    if os.environ.get(_MARK):
        threading.Thread(target=_end_with_starter, daemon=True).start()
    elif "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    if int(os.environ.get("RANK", "0")) > 0:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # to the end of the process


def will_track(prepared: Prepared) -> bool:
    """Return whether this process is going to keep a record.

    It is as far as what was typed tells.
    """
    wanted = _setting(prepared, "logger", True) is True and not _setting(prepared, "fast_dev_run", False)
    first = int(os.environ.get("RANK", "0")) == 0
    return prepared.command in ("fit", "test") and wanted and first and not only_looks(prepared)


def started_here() -> bool:
    """Return whether ``launch`` has started this process as a rank."""
    return bool(os.environ.get(_MARK))


def _setting(prepared: Prepared, name: str, default: Any) -> Any:
    typed = [value for key, value in prepared.rest if key == f"trainer.{name}" and value is not None]
    value = load_value(typed[-1], name) if typed else prepared.settings.value(f"trainer.{name}")
    return default if value is None else value


def _devices(prepared: Prepared) -> int:
    """Return the number of devices.

    Where it is no number the Trainer refuses it.
    """
    devices = _setting(prepared, "devices", 1)
    if isinstance(devices, str) and "," in devices:
        devices = [word for word in devices.split(",") if word.strip()]
    if isinstance(devices, list):
        return len(devices)
    if devices in (-1, "-1", "auto"):
        return _gpus() if _setting(prepared, "accelerator", "auto") in ("auto", "gpu", "cuda") else 1
    return int(devices) if str(devices).isdecimal() else 1


def _gpus() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _environment(prepared: Prepared, count: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = dict(prepared.rest).get("threads") or os.environ.get("OMP_NUM_THREADS") or max(1, cores() // count)
    return {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": str(threads),
        # Modules are found as here, whichever way the program was started.
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        _MARK: str(os.getpid()),
    }


def _start(words: Sequence[str], number: int, environment: dict[str, str]) -> Rank:
    errors = tempfile.TemporaryFile() if number else None  # noqa: SIM115  # closed by launch
    process = subprocess.Popen(  # noqa: S603  # this program, without a shell
        [sys.executable, "-P", "-m", "lit_lossopt", *words],
        env={**environment, "LOCAL_RANK": str(number), "RANK": str(number)},
        # Never written to: it ends when this process does.
        stdin=subprocess.PIPE,
        stderr=errors,
        # A terminal's Ctrl-C comes to this process alone, which hands it on once.
        start_new_session=True,
    )
    return Rank(number, process, errors)


@contextmanager
def _signals_to(ranks: Sequence[Rank]) -> Iterator[list[int]]:
    """Hand signals on to all ranks.

    Yield the list of those that have come.
    """
    received: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signals.hand_on(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM, [rank.process for rank in ranks])

    with signals.handled(hand_on, (*signals.STOPPING, signal.SIGHUP)):
        yield received


def _wait(ranks: Sequence[Rank], received: Sequence[int]) -> tuple[list[Rank], list[Rank]]:
    """Wait for all ranks.

    Return those that ended before their time, in order, and those that had to be killed.
    """
    early: list[Rank] = []
    until = float("inf")
    while running := [rank for rank in ranks if rank.process.poll() is None]:
        early += [rank for rank in ranks if rank not in early and rank.process.poll() not in (None, *_ORDERLY)]
        if (early or received) and until == float("inf"):
            until = time.monotonic() + GRACE
        if time.monotonic() > until:
            for rank in running:
                rank.process.kill()
            for rank in running:
                rank.process.wait()
            return early, running
        time.sleep(_LOOK_EVERY)
    return [*early, *(rank for rank in ranks if rank not in early and rank.process.poll() not in _ORDERLY)], []


def _status(ranks: Sequence[Rank], early: Sequence[Rank], killed: Sequence[Rank]) -> int:
    """Return the exit status of the whole.

    What the first rank could not say is said.
    """
    if killed:
        names = " and ".join(str(rank.number) for rank in killed)
        _say(f"rank {names} did not end within {GRACE:.0f} seconds and was killed")
    if not early:
        return _code(ranks[0].process.returncode)
    # Those that lost another are not the reason.
    cause = next((rank for rank in early if rank.process.returncode != LOST), early[0])
    code = cause.process.returncode
    remedy = "what was saved goes on with --ckpt_path last"
    if code < 0:
        _say(f"rank {cause.number} was killed ({signal.Signals(-code).name}), and the others have ended; {remedy}")
    elif cause.errors and ranks[0].process.returncode != code:
        cause.errors.seek(0)
        lines = cause.errors.read().decode(errors="replace").strip().splitlines() or [f"exit status {code}"]
        _say(f"rank {cause.number} failed, and the others have ended: {lines[-1].removeprefix('lossopt: ')}")
    return _code(code)


def _code(status: int) -> int:
    """Return an exit status as a shell has it.

    It is 128 and the signal for a process that was killed.
    """
    return status if status >= 0 else 128 - status


def _say(message: str) -> None:
    tell(f"lossopt: {message}", sys.stderr)


def _end_with_starter() -> None:
    """Wait for the end of standard input, and then stop.

    The starter holds it open. The stop is in time or at once.
    """
    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
