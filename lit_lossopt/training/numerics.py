"""With how many threads a process computes, and how it multiplies float32 numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

import torch

from lit_lossopt.core.errors import UserError

FP32Precision = Literal["ieee", "tf32", "bf16"]
# The word of torch's older setting, which Lightning reads. Matrix products follow it.
_OF_PRODUCTS = {"ieee": "highest", "tf32": "high", "bf16": "medium"}
_SIZE = 64
# Threads beyond the machine's cores repeat a run of a larger machine; far beyond, none can be started.
MOST_THREADS = 1024


def set_numerics(threads: int | None, precision: FP32Precision | None) -> None:
    """Set how the whole process computes. None leaves a setting as it is.

    Raises:
        UserError: there are more threads than can be started.
    """
    if threads:
        check_threads(threads)
        torch.set_num_threads(threads)
    if precision:
        set_fp32_precision(precision)


def check_threads(threads: int) -> None:
    """Refuse more threads than a process can be expected to start.

    Raises:
        UserError: there are more.
    """
    if threads > MOST_THREADS:
        raise UserError(
            f"threads={threads}: this machine has {os.cpu_count()} cores, and no process gets more than {MOST_THREADS} "
            "threads here; take one thread for each core"
        )


def set_fp32_precision(precision: FP32Precision) -> None:
    """Set how convolutions and matrix products of float32 tensors multiply, in the whole process.

    Weights, sums and results stay float32. Source: torch's notes on ``fp32_precision``. GPUs do not multiply float32
    tensors as bf16. There, bf16 means tf32.

    Args:
        precision: of the numbers that are multiplied. ``ieee`` is float32 itself. ``tf32`` has 10 bits behind the
            point, ``bf16`` has 7.
    """
    torch.set_float32_matmul_precision(_OF_PRODUCTS[precision])
    backends: Any = torch.backends
    backends.mkldnn.conv.fp32_precision = precision
    for part in _on_gpus():
        part.fp32_precision = "ieee" if precision == "ieee" else "tf32"


def fp32_precision() -> dict[str, str]:
    """Return how each kind of product multiplies float32 numbers now.

    ``none`` is what torch does by itself. On the CPU that is float32.
    """
    backends: Any = torch.backends
    return {
        "cpu_convolution": str(backends.mkldnn.conv.fp32_precision),
        "cpu_matmul": str(backends.mkldnn.matmul.fp32_precision),
        "gpu_convolution": str(backends.cudnn.conv.fp32_precision),
        "gpu_matmul": str(backends.cuda.matmul.fp32_precision),
    }


def restore_precision() -> Callable[[], None]:
    """Return what puts back how products are computed now."""
    backends: Any = torch.backends
    parts = (backends.mkldnn.matmul, backends.cuda.matmul, backends.mkldnn.conv, *_on_gpus())
    word, kept = _older_word(), [part.fp32_precision for part in parts]

    def put_back() -> None:
        if word:
            torch.set_float32_matmul_precision(word)
        for part, precision in zip(parts, kept, strict=True):
            part.fp32_precision = precision

    return put_back


def changes_products(precision: FP32Precision) -> bool:
    """Return whether products on this CPU come out differently under a precision.

    A processor without units for it goes on multiplying float32 numbers.
    """
    put_back, numbers = restore_precision(), torch.Generator().manual_seed(0)
    values = torch.rand(_SIZE, _SIZE, generator=numbers)
    images = values.view(1, 1, _SIZE, _SIZE).expand(1, 16, _SIZE, _SIZE).contiguous()
    kernels = torch.rand(16, 16, 3, 3, generator=numbers)
    found = []
    both: tuple[FP32Precision, ...] = ("ieee", precision)
    try:
        for one in both:
            set_fp32_precision(one)
            found.append((values @ values, torch.conv2d(images, kernels)))
    finally:
        put_back()
    return not all(torch.equal(exact, other) for exact, other in zip(*found, strict=True))


def _on_gpus() -> tuple[Any, Any]:
    """Return both parts of cuDNN. Torch refuses to speak of a precision in which they differ."""
    backends: Any = torch.backends
    return backends.cudnn.conv, backends.cudnn.rnn


def _older_word() -> str:
    """Return torch's older setting, or an empty text where it has no answer.

    It has none where a program has set its parts one by one.
    """
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return ""
