"""The machine and the packages on which a number was computed."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from lit_lossopt.core.checksum import checksum

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
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
