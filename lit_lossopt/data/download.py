"""Fetching a file whose size and SHA-256 are known.

Several mirrors are asked, a broken transfer is resumed, and one process fetches for all. The bytes go to
``<name>.part`` beside the target, which gets its name only after they were verified. So a file under the final name is
whole, even if the machine was switched off. urllib is enough here. Its certificates are those of the system, which
``SSL_CERT_FILE`` can replace.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from lit_lossopt.core.errors import one_line
from lit_lossopt.core.files import force_to_disk, lock_file, publish
from lit_lossopt.core.terminal_text import is_bare_terminal
from lit_lossopt.core.version import __version__

BLOCK = 1 << 18
# Number of times that one mirror may break off before the next is asked.
ATTEMPTS = 5
# Bytes a second below which a mirror counts as stalled. At that speed the file would take days.
SLOWEST = 1024
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class DownloadError(Exception):
    """The file could not be fetched.

    The message says why, mirror by mirror, in one line.
    """


class _MirrorError(Exception):
    """A mirror cannot be used."""


class _BrokenOffError(_MirrorError):
    """The transfer ended early, and can be continued."""


class _SpoiledError(_MirrorError):
    """The bytes that arrived are of no use.

    They are not those of the file, or cannot be continued.
    """


@dataclass(frozen=True)
class _Wanted:
    target: Path
    sha256: str
    size: int

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    def held(self) -> int:
        """Return the number of bytes that have arrived."""
        try:
            return self.part.stat().st_size
        except OSError:  # it does not exist, or its folder may not be looked into
            return 0


def download(urls: Sequence[str], target: Path, sha256: str, size: int, stall: float = 30.0) -> None:
    """Fetch a file unless it exists.

    If several processes ask for it, one fetches it and the others wait.

    Args:
        urls: addresses of the file, tried in order. They are https, or http on this machine itself.
        target: path of the file. Its folder is made.
        sha256: SHA-256 of the whole file, hexadecimal.
        size: size of the whole file in bytes.
        stall: seconds without bytes after which the next mirror is tried.

    Raises:
        DownloadError: no mirror had the file, or it cannot be written.
    """
    for url in urls:
        check_url(url)
    wanted = _Wanted(target, sha256, size)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not target.is_file():
                _from_any(urls, wanted, stall)
    except OSError as error:
        place, reason = error.filename or wanted.part, error.strerror or error
        raise DownloadError(
            f"cannot write {place} ({reason}); {wanted.held():,} of {size:,} bytes are there"
        ) from error


def check_url(url: str) -> None:
    """Raise DownloadError if an address may not be fetched from.

    It must be https, or http on this machine. It must not contain a password, which would end up in logs.

    >>> check_url("https://example.org/file.tar.gz")
    >>> check_url("http://example.org/file.tar.gz")
    Traceback (most recent call last):
    lit_lossopt.data.download.DownloadError: http://example.org: only https addresses are used (http only for 127.0.0.1)

    Raises:
        DownloadError: the address cannot be used.
    """
    if not _is_secure(url) and not _is_local(url):
        raise DownloadError(f"{_place(url)}: only https addresses are used (http only for 127.0.0.1)")
    if "@" in _parts(url).netloc:
        raise DownloadError(f"{_place(url)}: an address must not contain a user name or a password")


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _is_secure(url: str) -> bool:
    return _parts(url).scheme == "https" and bool(_parts(url).hostname)


def _is_local(url: str) -> bool:
    return _parts(url).scheme == "http" and _parts(url).hostname in LOOPBACK


def _place(url: str) -> str:
    """Return the part of an address that messages may show.

    It contains nothing that may be secret.
    """
    scheme, host = _parts(url).scheme, _parts(url).hostname or ""
    return host if scheme == "https" and host else f"{scheme}://{host}"


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock on ``target``.

    The lock ends with the process, however that ends.
    """

    def busy(_process: str) -> None:
        print(f"waiting for another process that fetches {target}", file=sys.stderr)

    with lock_file(target.with_name(f"{target.name}.lock"), busy):
        yield


def _from_any(urls: Sequence[str], wanted: _Wanted, stall: float) -> None:
    reasons: dict[str, list[str]] = {}
    for url in urls:
        try:
            _from_mirror(url, wanted, stall)
        except _MirrorError as error:
            reasons.setdefault(one_line(str(error), 100), []).append(_place(url))
        else:
            publish(wanted.part, wanted.target)
            # The name is on the disk only after its folder is.
            force_to_disk(wanted.target.parent)
            return
    raise DownloadError("; ".join(f"{', '.join(places)}: {reason}" for reason, places in reasons.items()))


def _from_mirror(url: str, wanted: _Wanted, stall: float) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        start = wanted.held()
        try:
            if start != wanted.size:
                _transfer(url, wanted, stall)
            _verify(wanted)
        except _SpoiledError:
            wanted.part.unlink(missing_ok=True)
            # The first bytes may have come from another mirror, so this one is asked once more, from the start.
            if start == 0 or attempt == ATTEMPTS:
                raise
        except _BrokenOffError:
            if wanted.held() <= start or attempt == ATTEMPTS:
                raise
        else:
            return


def _transfer(url: str, wanted: _Wanted, stall: float) -> None:
    asked = wanted.held()
    with _network(stall):
        headers = {"User-Agent": f"lit_lossopt/{__version__}", **({"Range": f"bytes={asked}-"} if asked else {})}
        # A proxy is for other machines, not for this one.
        opener = build_opener(_NeverToHttp, *([ProxyHandler({})] if _is_local(url) else []))
        response = opener.open(Request(url, headers=headers), timeout=stall)  # noqa: S310  # checked above
    with response:
        start = _first_byte(response, asked, wanted.size)
        arrived = start + _append(response, url, wanted, start, stall)
    if arrived < wanted.size:
        raise _BrokenOffError(f"breaks off after {arrived:,} of {wanted.size:,} bytes")


def _append(response: http.client.HTTPResponse, url: str, wanted: _Wanted, start: int, stall: float) -> int:
    """Write what arrives, from position ``start`` on, and return the number of bytes."""
    arrived = 0
    with wanted.part.open("ab", buffering=0) as file, _progress(url, wanted, start) as progress:
        if file.tell() != start:
            file.truncate(start)
        for block in _blocks(response, stall):
            arrived += len(block)
            if start + arrived > wanted.size:
                raise _SpoiledError(f"sends more than the file's {wanted.size:,} bytes")
            # An unbuffered file may take only a part of a block.
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
            progress.advance(progress.task_ids[0], len(block))
    return arrived


def _first_byte(response: http.client.HTTPResponse, asked: int, size: int) -> int:
    """Return the position of the answer's first byte in the file.

    It is the position that was asked for, or 0 if the mirror sends the whole file.
    """
    start = asked if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
    answered = response.headers.get("Content-Range", "")
    if start and not re.fullmatch(rf"bytes {start}-\d+/({size}|\*)", answered):
        raise _SpoiledError(f"answers with {answered!r} when asked for the bytes from {start} of {size}")
    if response.length is not None and start + response.length != size:
        raise _MirrorError(f"has {start + response.length:,} bytes in place of {size:,}")
    return start


def _blocks(response: http.client.HTTPResponse, stall: float) -> Iterator[bytes]:
    since, arrived = time.monotonic(), 0
    while True:
        with _network(stall):
            block = response.read1(BLOCK)
        if not block:
            return
        yield block
        arrived += len(block)
        elapsed = time.monotonic() - since
        if elapsed > stall:
            if arrived < SLOWEST * elapsed:
                raise _MirrorError(f"sends less than {SLOWEST} bytes a second")
            since, arrived = time.monotonic(), 0


@contextmanager
def _network(stall: float) -> Iterator[None]:
    """Turn errors of the network into errors of a mirror.

    Errors of the disk are OSError too, so they must be told apart.
    """
    try:
        yield
    except HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _SpoiledError("has no such range") from error
        raise _MirrorError(f"{error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise _MirrorError(f"sends nothing for {stall:g} s") from error
        raise _BrokenOffError(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__) from error


class _NeverToHttp(HTTPRedirectHandler):
    """Follows redirects to https, and to http only from this machine to itself."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if not _is_secure(newurl) and not (_is_local(req.full_url) and _is_local(newurl)):
            fp.close()
            raise _MirrorError(f"redirects to {_place(newurl)}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _progress(url: str, wanted: _Wanted, start: int) -> Iterator[Progress]:
    """Print what is fetched, and show a progress bar on a terminal."""
    resumed = f", from byte {start:,} on" if start else ""
    print(f"fetching {wanted.target} ({wanted.size / 1e6:.1f} MB{resumed}) from {_place(url)}", file=sys.stderr)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not is_bare_terminal(sys.stderr)) as progress:
        progress.add_task("", total=wanted.size, completed=start)
        yield progress


def _verify(wanted: _Wanted) -> None:
    with wanted.part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != wanted.sha256:
        raise _SpoiledError(f"has another content (SHA-256 {sha256[:12]}… in place of {wanted.sha256[:12]}…)")
