"""The commands that train and evaluate.

Each takes the words behind it and returns an exit status. What needs torch is imported only after everything that can
be checked without it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lit_lossopt.config.words import Prepared, prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.imports import import_for_good

if TYPE_CHECKING:
    from lit_lossopt.training.cli import LossOptCLI


def fit(words: Sequence[str]) -> int:
    """Train."""
    return _train("fit", list(words))


def fit_in_this_process(words: Sequence[str]) -> tuple[int, str]:
    """Train, and return the exit status and the id of the run.

    Raises:
        UserError: something cannot be used, nothing would be recorded, or several processes were asked for.
    """
    from lit_lossopt.training.distributed.launcher import processes_to_start

    prepared = prepare("fit", list(words))
    if processes_to_start(prepared):
        raise UserError("fit from Python takes one device; several need the command line: lossopt fit")
    if prepared.unrecorded:
        raise UserError(f"fit from Python returns what was recorded, and {prepared.unrecorded} records nothing")
    made: list[LossOptCLI] = []

    def run(prepared: Prepared) -> int:
        import_for_good("lit_lossopt.training.cli")
        from lit_lossopt.training.cli import LossOptCLI, run_trainer

        def make(one: Prepared) -> LossOptCLI:
            made.append(LossOptCLI(one))
            return made[-1]

        return run_trainer(prepared, make)

    status = start(prepared, run)
    return status, (made[0].recorded_run if made else "")


def validate(words: Sequence[str]) -> int:
    """Evaluate trained weights on the validation images."""
    return _train("validate", list(words))


def test(words: Sequence[str]) -> int:
    """Evaluate trained weights on the test images."""
    return _train("test", list(words))


def predict(words: Sequence[str]) -> int:
    """Write a table of predictions."""
    return _train("predict", list(words))


def _train(command: str, rest: list[str]) -> int:
    def run(prepared: Prepared) -> int:
        import_for_good("lit_lossopt.training.cli")
        from lit_lossopt.training.cli import run_trainer

        return run_trainer(prepared)

    return start(prepare(command, rest), run)


def start(prepared: Prepared, run: Callable[[Prepared], int]) -> int:
    """Start what trains or evaluates, in as many processes as are asked for.

    Args:
        prepared: settings.
        run: does it, and imports what it needs. It returns an exit status.
    """
    from lit_lossopt.training.distributed.launcher import become_rank, launch, processes_to_start, will_track

    _need_temporary_folder()
    if count := processes_to_start(prepared):
        return launch(prepared, count)
    become_rank()
    from lit_lossopt.tracking.store_process import kept_process

    with kept_process(ahead=will_track(prepared)):
        # Seconds of imports, so only after everything that can be checked without them.
        return run(prepared)


def lr_find(words: Sequence[str]) -> int:
    """Find a learning rate."""
    from lit_lossopt.training.distributed.launcher import processes_to_start, will_track
    from lit_lossopt.training.lr_find.request import read_request

    request = read_request(words)
    _need_temporary_folder()
    if processes_to_start(request.prepared):
        raise UserError("lr-find: a range test takes one device; add --trainer.devices=1 --trainer.num_nodes=1")
    from lit_lossopt.tracking.store_process import kept_process

    with kept_process(ahead=will_track(request.prepared)):
        import_for_good("lit_lossopt.training.lr_find.command")
        from lit_lossopt.training.lr_find.command import find_rate

        return find_rate(request)


def bench(words: Sequence[str]) -> int:
    """Measure the fastest safe setting of this machine."""
    from lit_lossopt.training.distributed.launcher import processes_to_start
    from lit_lossopt.training.speed.request import COMMAND, read_request

    request = read_request(words)
    _need_temporary_folder()
    if processes_to_start(request.prepared):
        raise UserError(f"{COMMAND}: one device is measured; add --trainer.devices=1 --trainer.num_nodes=1")
    import_for_good("lit_lossopt.training.speed.command")
    from lit_lossopt.training.speed import command

    return command.bench(request)


def _need_temporary_folder() -> None:
    """Raise UserError where no temporary file can be written.

    This happens in a container without a volume, or with another user's volume.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        wanted, uid = os.environ.get("TMPDIR", ""), os.geteuid()
        raise UserError(
            f"TMPDIR={wanted}: no folder for temporary files, because uid {uid} can write neither there "
            "nor to /tmp, /var/tmp and the working folder; set TMPDIR to a folder that it can write to"
        ) from error
