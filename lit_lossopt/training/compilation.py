"""The loss of a batch as one compiled program.

Torch compiles the forward and the backward pass of network and loss together. Weights keep their names, and everything
else that looks at the network, such as evaluations and diagnostics, sees it as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError, described

BatchLoss = Callable[[Tensor, Tensor], Tensor]
# They replay CUDA graphs on a GPU.
OF_GRAPHS = ("reduce-overhead", "max-autotune")


class CompileClock:
    """Counts the seconds that torch spends compiling.

    Attributes:
        seconds: up to now.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count meanwhile."""
        from torch._dynamo.callback import callback_handler

        callback_handler.register_start_callback(self._start)
        callback_handler.register_end_callback(self._stop)
        try:
            yield
        finally:
            # They are gone where somebody has reset torch's compiler.
            with suppress(ValueError):
                callback_handler.remove_start_callback(self._start)
                callback_handler.remove_end_callback(self._stop)

    def _start(self, _: Any) -> None:
        self._since = time.monotonic()

    def _stop(self, _: Any) -> None:
        self.seconds += time.monotonic() - self._since


def compiled(loss: BatchLoss, mode: str) -> BatchLoss:
    """Return a function from images and labels to their loss, which torch compiles at its first call.

    It draws the random numbers that the function itself would draw, so dropout is the same. Each shape of a batch is
    compiled for itself, so that no result depends on which shapes came before.

    Args:
        loss: the function.
        mode: one of torch.compile's.

    Raises:
        UserError: the function raises it where torch cannot compile.
    """
    options = {**torch._inductor.list_mode_options(mode), "fallback_random": True}  # noqa: SLF001  # where torch has it
    program = torch.compile(loss, dynamic=False, options=options)

    def run(images: Tensor, labels: Tensor) -> Tensor:
        with _blamed(mode):
            # A CUDA graph writes its next result into the same memory.
            return program(images, labels).clone()

    return run


def forget(loss: BatchLoss) -> None:
    """Drop the programs of a function.

    Torch keeps a few for all modules that have the method, and would compile no more of them in this process.
    """
    torch._dynamo.reset_code(loss.__code__)  # type: ignore[attr-defined]  # noqa: SLF001  # functions and methods have it


def check_compiler(mode: str, device: torch.device) -> None:
    """Compile something small.

    Raises:
        UserError: torch cannot compile here.
    """
    numbers = torch.ones(16, device=device)
    with _blamed(mode), torch.no_grad():
        torch.compile(_small, dynamic=False)(numbers)


def _small(numbers: Tensor) -> Tensor:
    return (numbers * 2 + 1).sum()


@contextmanager
def _blamed(mode: str) -> Iterator[None]:
    """Turn what torch says of compiling into one line."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        cause: BaseException = error
        while cause.__cause__ is not None or isinstance(getattr(cause, "inner_exception", None), Exception):
            cause = getattr(cause, "inner_exception", None) or cause.__cause__  # type: ignore[assignment]  # one is there
        raise UserError(
            f"compile={mode}: torch cannot compile here ({described(cause)}); on a CPU it needs a C++ compiler such as "
            "g++, on a GPU also Triton; install what is missing, or leave --compile out"
        ) from error
