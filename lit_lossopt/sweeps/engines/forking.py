"""The process that forks a child for each call.

It imports everything once. ``fork_server.ForkServer`` runs it.

Requests are lines of JSON on standard input, replies lines of JSON on standard output::

    {"start": 1, "call": "module:function", "arguments": […], "folder": …, "output": …, "environment": {…}}
                                                  → {"ready": true}, once; {"started": 1, "process": 4711}
    {"signal": 15, "of": 1}                       → nothing
    the child has ended                           → {"ended": 1, "status": 0}

A child cannot harm its neighbours: it has a memory, a process group, an output and signals of its own. It dies with
this process, and with the process that asked, however these die: by SIGKILL, too. What this process does before it
forks starts no thread and touches no GPU, so that what a child inherits is whole.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from lit_lossopt.core import signals
from lit_lossopt.core.imports import uncollected
from lit_lossopt.tracking.store_process import allow_fork

Request = dict[str, Any]
_PR_SET_PDEATHSIG = 1


class Children:
    """Forks, signals and buries children.

    Args:
        replies: descriptor to which replies are written. Children inherit it and leave it open: whoever reads the other
            end sees its end only when all of them are dead.
    """

    def __init__(self, replies: int) -> None:
        self._replies = replies
        self._server = os.getpid()
        self._living: dict[int, int] = {}
        # Nobody writes to the first; it ends with this process. The second ends with the one that asks.
        self._alive, self._alive_end = os.pipe()
        self._asking = os.dup(0)

    def start(self, request: Request) -> None:
        """Fork a child for a request."""
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.close(self._alive_end)
            _die_with(self._server, (self._alive, self._asking))
            _run(request)
        with suppress(OSError):
            # Also here, so that a signal that comes at once finds the group.
            os.setpgid(child, child)
        self._living[child] = request["start"]
        self.reply({"started": request["start"], "process": child})

    def signal(self, number: int, which: int) -> None:
        """Send a signal to a child, if it lives.

        SIGKILL goes to all that the child has started.
        """
        for child, request in self._living.items():
            if request == number:
                with suppress(OSError):
                    (os.killpg if which == signal.SIGKILL else os.kill)(child, which)

    def bury(self) -> None:
        """Tell of children that have ended."""
        for child, number in list(self._living.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                del self._living[child]
                self._kill_group(child)
                self.reply({"ended": number, "status": os.waitstatus_to_exitcode(status)})

    def kill_all(self) -> None:
        """Leave no child behind."""
        for child in self._living:
            self._kill_group(child)

    def reply(self, content: dict[str, Any]) -> None:
        """Write a reply.

        Nobody may be there to read it.
        """
        with suppress(OSError):
            os.write(self._replies, json.dumps(content).encode() + b"\n")

    @staticmethod
    def _kill_group(child: int) -> None:
        # What a child has left behind, such as workers of a loader.
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)


def serve(rehearsal: str = "", own: Mapping[str, str | None] = MappingProxyType({})) -> None:
    """Prepare, then answer requests until standard input ends.

    No child is left behind.

    Args:
        rehearsal: ``module:function`` that imports, and does once, what every child would do again.
        own: variables that are set for this process alone → what a child has in their place; None: nothing.
    """
    # Ctrl-C on a terminal is the asking process's affair.
    signals.ignore((signal.SIGINT,))
    children = Children(os.dup(1))
    # What libraries print while they are imported is no reply.
    os.dup2(2, 1)
    if rehearsal:
        with uncollected():
            _function(rehearsal)()
    # The libraries have read them. A child has the environment that a person has.
    for name, value in own.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    # What is shared with children stays shared: the collector would touch, and so copy, every page.
    gc.collect()
    gc.freeze()
    children.reply({"ready": True})
    try:
        for request in _requests(children.bury):
            if "start" in request:
                children.start(request)
            else:
                children.signal(request["of"], request["signal"])
    finally:
        children.kill_all()


def _requests(child_ended: Callable[[], None]) -> Any:
    """Yield requests until standard input ends.

    ``child_ended`` is called whenever a child may have ended.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signals.wake_when_child_ends(wake)
    waiting = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            child_ended()
        if 0 in readable:
            received = os.read(0, 65536)
            if not received:
                return
            *lines, waiting = (waiting + received).split(b"\n")
            yield from map(json.loads, lines)


def _die_with(server: int, pipes: tuple[int, int]) -> None:
    """End this child at once when one of two pipes ends.

    Only the server and the asking process have the other ends.
    """

    def watch() -> None:
        poll = select.poll()
        for pipe in pipes:
            # No event but its end, which is always told.
            poll.register(pipe, 0)
        poll.poll()
        os.killpg(0, signal.SIGKILL)

    if sys.platform == "linux":
        # Sooner than a thread that waits for the interpreter's lock.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)
    threading.Thread(target=watch, name="lossopt-watch", daemon=True).start()


def _run(request: Request) -> None:
    """Be a process of its own, call the function, and end with what it returns."""
    signals.reset()
    os.environ.update(request["environment"])
    # TMPDIR may be among them.
    tempfile.tempdir = None
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Otherwise every child would draw the same.
    random.seed()
    allow_fork()
    status = 1
    try:
        os.chdir(request["folder"])
        status = int(_function(request["call"])(*request["arguments"]))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
