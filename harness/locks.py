"""Locks between processes, held by a file or folder; the system lets go of them whatever ends a process.

Where a file system has no locks (some network ones), a lock for a folder is a file beside it that names its holder, and
the other locks, which only save work that would be done twice, are left out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO})


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def made_and_locked(folder: Path) -> Iterator[None]:
    """Makes the folder if it is not there, and keeps other processes that call this out of it.

    A folder that was made here and is empty in the end is removed.

    Raises:
        Busy: another process is in it.
        FileExistsError: there is a file of that name.
        OSError: it cannot be made.
    """
    made = not folder.exists()
    descriptor, held = _made_and_locked(folder)
    try:
        if held:
            yield
        else:
            with _lock_file(folder.with_name(f".{folder.name}.lock")):
                yield
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        os.close(descriptor)


@contextmanager
def taking_turns(file: Path) -> Iterator[None]:
    """Waits until no other process is in a block with this file, which is made if need be; links are not followed.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Locks an open file or folder; False where its file system has no locks.

    Raises:
        Busy: another process has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def _made_and_locked(folder: Path) -> tuple[int, bool]:
    """The folder's descriptor, and whether it is locked; another process may remove it again before we have it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            held = lock(descriptor)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), folder.stat()):
                    return descriptor, held
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextmanager
def _lock_file(file: Path) -> Iterator[None]:
    """The lock where there are none: a file with its holder, which is stale when that process is gone."""
    own = f"{socket.gethostname()} {os.getpid()}"
    for _ in range(2):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            break
        except FileExistsError:
            if not _is_stale(file):
                raise Busy from None
            file.unlink(missing_ok=True)
    else:
        raise Busy
    try:
        os.write(descriptor, own.encode())
        os.close(descriptor)
        yield
    finally:
        file.unlink(missing_ok=True)


def _is_stale(file: Path) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    try:
        host, _, pid = file.read_text(encoding="utf-8", errors="replace").rpartition(" ")
        if host != socket.gethostname() or not pid.isdecimal():
            return False
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False
