"""What runs in one of several processes that train at the same time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from lit_lossopt.config.words import Prepared, prepare
from lit_lossopt.core.errors import described
from lit_lossopt.training.cli import LossOptCLI, build
from lit_lossopt.training.speed.candidates import Candidate
from lit_lossopt.training.speed.steps import TrainingSteps


def main(words: Sequence[str]) -> None:
    """Answer through a pipe until the other end is closed.

    Args:
        words: the number of the pipe's descriptor.
    """
    connection = Connection(int(words[0]))
    try:
        training = training_of(prepare("fit", connection.recv()))
    except Exception as error:  # noqa: BLE001  # said by the process that waits for this one
        connection.send(described(error))
        return
    connection.send("")
    try:
        serve(connection, training)
    except (EOFError, OSError):
        return


def training_of(prepared: Prepared) -> TrainingSteps:
    """Return what makes the steps of a training.

    Raises:
        UserError: something that a person typed or provided cannot be used.
    """
    cli = build(prepared, LossOptCLI)
    return TrainingSteps(cli.model, cli.trainer, cli.datamodule)


def serve(connection: Connection, training: TrainingSteps) -> None:
    """Make a block of one thread whenever its seconds come, at the moment that comes next.

    Raises:
        EOFError: the other end is closed.
    """

    def begin() -> None:
        connection.send(None)
        time.sleep(max(0.0, connection.recv() - time.monotonic()))

    while True:
        connection.send(training.block_of(Candidate(threads=1), connection.recv(), begin))
