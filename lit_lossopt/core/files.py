"""Files that are written whole, and locks between processes.

Every rename of a finished file and every lock of the package goes through this module. The kernel holds the locks, so a
process that dies leaves none behind. No lock empties the file that it is on, because some of these files hold data.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = ".part"


def part_of(path: Path) -> Path:
    """Return a new name for a part file beside ``path``.

    It is on the same file system, unlike a temporary folder, so that renaming it takes one step.

    >>> part_of(Path("runs/last.ckpt")).as_posix()
    'runs/.last-....part'
    """
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{_PART}")


def remove_parts(folder: Path) -> None:
    """Remove the part files that killed writers left in a folder.

    Nobody else may be writing there.
    """
    for part in folder.glob(f".*{_PART}"):
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a part file that becomes ``path`` after the block.

    If the block fails, the part file is removed and ``path`` stays as it was.

    Raises:
        OSError: the part file cannot be renamed.
    """
    part = part_of(path)
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def force_to_disk(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder.

    Raises:
        OSError: the disk does not take it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(part: Path, path: Path) -> None:
    """Force a finished file to disk, then give it its name.

    Raises:
        OSError: the disk does not take it, or it cannot be renamed.
    """
    force_to_disk(part)
    part.replace(path)


@contextmanager
def lock_file(path: Path, busy: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Hold the lock on a file of its own until the block ends.

    The file is made if it is missing, and holds the id of the process that locked it last.

    Args:
        path: the lock file. Its folder must exist.
        busy: called once if another process holds the lock, with that process's id or an empty text. It may raise;
            otherwise the lock is waited for.

    Raises:
        OSError: the file cannot be opened.
    """
    from filelock import lock_descriptor

    # In append mode the content stays: it names the process that has the lock. Others of a shared folder may lock the
    # file too, as far as the umask lets them.
    with path.open("a+b", buffering=0) as file:
        if not try_lock(file.fileno()):
            file.seek(0)
            busy(file.read().decode(errors="replace"))
            lock_descriptor(file.fileno())
        # The lock holds on a full disk too; the note is for messages only.
        with suppress(OSError):
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        yield


def try_lock(descriptor: int) -> bool:
    """Lock an open file unless another process holds its lock.

    The lock ends when the descriptor is closed. The content of the file stays.

    Returns:
        Whether this process has the lock now.

    Raises:
        OSError: the file system has no locks.
    """
    # Imported here because it takes as long as all of this package's core.
    from filelock import lock_descriptor

    return lock_descriptor(descriptor, blocking=False)


def is_locked(path: Path) -> bool:
    """Return True if another process holds the lock on a file.

    A file that is missing, or that cannot be opened, is not locked.
    """
    try:
        with path.open("rb") as file:
            # Shared, which filelock has no call for: two processes that look at once must not see each other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def try_lock_byte(path: Path, place: int) -> Callable[[], None] | None:
    """Lock one byte of a file unless another process has it.

    The byte need not exist, so one file serves as many locks as there are numbers. filelock locks whole files only.

    Returns:
        A function that unlocks the byte, or None if another process holds it.

    Raises:
        OSError: the file cannot be opened.
    """
    # Never closed. Closing any descriptor of the file would end all locks that this process has on it.
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return None
    return lambda: fcntl.lockf(file, fcntl.LOCK_UN, 1, place)
