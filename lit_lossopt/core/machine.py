"""The machine and the packages on which a number was computed."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from lit_lossopt.core.checksum import checksum

# As Linux names them, on x86 and on ARM.
_BF16_UNITS = frozenset(("amx_bf16", "avx512_bf16", "bf16"))
_SOURCES = ("py", "html", "css", "js", "json")


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return package → version of those that are installed, and Python's."""
    installed = {name: version for name in packages if (version := _version(name))}
    return {"python": platform.python_version(), **installed}


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def source_digest() -> str:
    """Return the SHA-256 of this program's own files: code, templates and schemas.

    Two states of the program can have the same version.
    """
    folder = Path(__file__).parent.parent
    files = sorted(path for ending in _SOURCES for path in folder.rglob(f"*.{ending}"))
    named = ((path.relative_to(folder).as_posix().encode(), path.read_bytes()) for path in files)
    return checksum(*itertools.chain.from_iterable(named))


def processor() -> str:
    """Return the processor's name, as the system gives it."""
    return _processor_line("model name") or platform.processor() or platform.machine()


def processor_flags() -> frozenset[str]:
    """Return the names of what the processor can do, as the system gives them.

    The set is empty where the system has no such list.
    """
    return frozenset((_processor_line("flags") or _processor_line("Features")).split())


def has_bf16_units() -> bool:
    """Return whether the processor itself multiplies bfloat16 numbers.

    Without such units a training in bfloat16 is many times slower.
    """
    return bool(processor_flags() & _BF16_UNITS)


def _processor_line(name: str) -> str:
    """Return what the system says of the first core under a name, or an empty text."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return ""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
