"""Fetches a file whose size and SHA-256 are known.

There are several mirrors. A transfer is resumed and verified. Several processes make one transfer.

The bytes go to ``<name>.part`` beside the target, which gets its name only after they were verified: a file under the
final name is whole, whenever the machine was switched off. urllib in place of requests: nothing here needs more, and
its certificates are those of the system, which ``SSL_CERT_FILE`` can replace.
"""

from __future__ import annotations

import hashlib
import http.client
import io
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
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from lit_lossopt import __version__
from lit_lossopt.core.errors import one_line
from lit_lossopt.core.files import force_to_disk, lock_file, publish

BLOCK = 1 << 18
# How often one mirror may break off before the next is asked.
ATTEMPTS = 5
# Bytes a second below which a mirror counts as stalled: it would take days.
SLOWEST = 1024
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class DownloadError(Exception):
    """The file could not be had.

    The message is one line with the reason of each mirror.
    """


class _MirrorError(Exception):
    """Why a mirror is of no use."""


class _BrokenOffError(_MirrorError):
    """The transfer ended early.

    What has arrived can be continued.
    """


class _SpoiledError(_MirrorError):
    """What has arrived is not the file.

    It cannot be continued.
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
        """Return how many bytes have arrived."""
        try:
            return self.part.stat().st_size
        except OSError:  # not there, or in a folder that may not be looked into
            return 0


def download(urls: Sequence[str], target: Path, sha256: str, size: int, stall: float = 30.0) -> None:
    """Fetch ``target`` unless it is there.

    Of several processes one fetches, and the others wait for it.

    Args:
        urls: where the file lies, tried in order; https, or http on this machine itself.
        target: the file's place; its folder is made.
        sha256: of the whole file, hexadecimal.
        size: of the whole file in bytes.
        stall: seconds without bytes after which the next mirror is tried.

    Raises:
        DownloadError: no mirror had it, or it cannot be written.
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
    """Refuse addresses that are not safe.

    Only https and this machine are allowed. Passwords are refused, as they would end up in logs.

    Raises:
        DownloadError: the address cannot be used.
    """
    if not _is_secure(url) and not _is_local(url):
        raise DownloadError(f"{_place(url)}: only https addresses are used (http only for 127.0.0.1)")
    if "@" in _parts(url).netloc:
        raise DownloadError(f"{_place(url)}: a name or password does not belong into an address")


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
    """Return the part of an address that messages show.

    It has nothing that may be secret.
    """
    scheme, host = _parts(url).scheme, _parts(url).hostname or ""
    return host if scheme == "https" and host else f"{scheme}://{host}"


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock on ``target``; it ends with the process, however that ends."""

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
            _publish(wanted)
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
            # Bytes from before may be another mirror's fault, so this one is asked once more, from the start.
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
        response = _opener(url).open(Request(url, headers=headers), timeout=stall)  # noqa: S310  # checked above
    with response:
        start = _first_byte(response, asked, wanted.size)
        arrived = start + _append(response, url, wanted, start, stall)
    if arrived < wanted.size:
        raise _BrokenOffError(f"breaks off after {arrived:,} of {wanted.size:,} bytes")


def _append(response: http.client.HTTPResponse, url: str, wanted: _Wanted, start: int, stall: float) -> int:
    """Write what arrives from position ``start`` on.

    Return how many bytes that were.
    """
    arrived = 0
    with wanted.part.open("ab", buffering=0) as file, _progress(url, wanted, start) as progress:
        if file.tell() != start:
            file.truncate(start)
        for block in _blocks(response, stall):
            arrived += len(block)
            if start + arrived > wanted.size:
                raise _SpoiledError(f"sends more than the file's {wanted.size:,} bytes")
            _write(file, block)
            progress.advance(progress.task_ids[0], len(block))
    return arrived


def _write(file: io.FileIO, block: bytes) -> None:
    # An unbuffered file may take a part of a block only.
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def _first_byte(response: http.client.HTTPResponse, asked: int, size: int) -> int:
    """Return the position of the answer's first byte.

    It is the position that was asked for, or 0.
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
    """Tell faults of the network from those of the disk.

    Both are an OSError.
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
    """Follows redirects to https.

    It follows to http only from this machine to itself.
    """

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if not _is_secure(newurl) and not (_is_local(req.full_url) and _is_local(newurl)):
            fp.close()
            raise _MirrorError(f"redirects to {_place(newurl)}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    # A proxy is for the way out, not for this machine.
    return build_opener(_NeverToHttp, *([ProxyHandler({})] if _is_local(url) else []))


@contextmanager
def _progress(url: str, wanted: _Wanted, start: int) -> Iterator[Progress]:
    """Say what is fetched.

    On a terminal there is a bar, too.
    """
    resumed = f", from byte {start:,} on" if start else ""
    print(f"fetching {wanted.target} ({wanted.size / 1e6:.1f} MB{resumed}) from {_place(url)}", file=sys.stderr)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        progress.add_task("", total=wanted.size, completed=start)
        yield progress


def _verify(wanted: _Wanted) -> None:
    with wanted.part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted.sha256:
        raise _SpoiledError(f"has another content (SHA-256 {found[:12]}… in place of {wanted.sha256[:12]}…)")


def _publish(wanted: _Wanted) -> None:
    publish(wanted.part, wanted.target)
    force_to_disk(wanted.target.parent)
