"""Picks the command from the first word.

Only what that command needs is imported.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Sequence

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.names import Exit
from lit_lossopt.core.paths import settle_home
from lit_lossopt.core.program import find_modules_here
from lit_lossopt.core.redaction import redact
from lit_lossopt.core.terminal_text import tell

# Commands that take the words behind them, and return an exit status.
_WORKERS = {
    "compare": "lit_lossopt.comparison.command:compare",
    "export": "lit_lossopt.inference.export.command:export",
    "sync": "lit_lossopt.tracking.sync:sync",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 done, 2 something typed is wrong, 3 diverged, 4 done but values were lost, 130 and 143 interrupted.
    """
    if argv is None:
        find_modules_here()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        settle_home()
        return _dispatch(words)
    except BrokenPipeError:
        # Whoever read the output has had enough (lossopt configs | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except KeyboardInterrupt as stop:
        # What had something to save has said so before.
        print("lossopt: stopped by Ctrl-C", file=sys.stderr)
        return int(getattr(stop, "status", Exit.INTERRUPTED))
    except UserError as error:
        if os.environ.get("LOSSOPT_TRACEBACK"):
            raise
        tell(redact(f"lossopt: {error}"), sys.stderr)
        return Exit.MISTAKE


def _dispatch(words: list[str]) -> int:
    from lit_lossopt.config import help as usage

    command, rest = (words[0], words[1:]) if words else ("--help", [])
    if command in ("-h", "--help", "help"):
        print(usage.overview())
    elif command == "--version":
        from lit_lossopt import __version__

        print(__version__)
    elif command == "__complete":
        from lit_lossopt.config.completion import candidates

        print("\n".join(candidates(rest)))
    elif command not in usage.COMMANDS:
        known = ", ".join(usage.COMMANDS)
        raise UserError(f"{command}: no such command{did_you_mean(command, usage.COMMANDS)}; there are: {known}")
    elif "-h" in rest or "--help" in rest:
        print(usage.command_help(command))
    elif command == "configs":
        usage.check_bare(command, rest)
        print(usage.config_list())
    elif command == "completion":
        from lit_lossopt.config.completion import script

        print(script(rest), end="")
    elif command in _WORKERS:
        module, _, function = _WORKERS[command].partition(":")
        return int(getattr(importlib.import_module(module), function)(rest))
    elif command in ("sweep", "demo"):
        from lit_lossopt.sweeps.command import DEMO, sweep

        return sweep([*(DEMO if command == "demo" else ()), *rest], main)
    else:
        return _find_rate(rest) if command == "lr-find" else _train(command, rest)
    return 0


def _train(command: str, rest: list[str]) -> int:
    from lit_lossopt.config.words import prepare
    from lit_lossopt.training.distributed.launcher import become_rank, launch, processes_to_start, will_track

    prepared = prepare(command, rest)
    _need_temporary_folder()
    if count := processes_to_start(prepared):
        return launch(prepared, count)
    become_rank()
    from lit_lossopt.tracking.store_process import kept_process

    with kept_process(ahead=will_track(prepared)):
        # Ten seconds of imports, so only after everything that can be checked without them.
        from lit_lossopt.training.cli import run_trainer

        return run_trainer(prepared)


def _find_rate(rest: list[str]) -> int:
    from lit_lossopt.training.distributed.launcher import processes_to_start, will_track
    from lit_lossopt.training.lr_find.request import read_request

    request = read_request(rest)
    _need_temporary_folder()
    if processes_to_start(request.prepared):
        raise UserError("lr-find: a range test takes one device; add --trainer.devices=1 --trainer.num_nodes=1")
    from lit_lossopt.tracking.store_process import kept_process

    with kept_process(ahead=will_track(request.prepared)):
        from lit_lossopt.training.lr_find.command import find_rate

        return find_rate(request)


def _need_temporary_folder() -> None:
    """Raise UserError where no temporary file can be written.

    It is so in a container without a volume, or with another user's.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        wanted, uid = os.environ.get("TMPDIR", ""), os.geteuid()
        raise UserError(
            f"TMPDIR={wanted}: no folder for temporary files; uid {uid} can write neither there "
            "nor to /tmp, /var/tmp and the working folder; set TMPDIR to a folder that it can write to"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
