"""Private files, for secrets: read only where nobody else may, and written in one piece."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from .errors import ConfigError

__all__ = ["Stamp", "create", "make_folder", "read", "replace", "stamp_at"]

Stamp = tuple[int, ...]
"""What differs once a file was replaced, written, or opened to others, as that sets its ctime."""

_WITHOUT_SURPRISES = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No symbolic link is followed, and no pipe waited for, where the system knows how."""


def read(path: Path, largest: int, what: str) -> tuple[bytes, Stamp]:
    """What is in a file of ``largest`` bytes at most in which only its owner may read ``what``, and its stamp.

    FileNotFoundError where there is none; ConfigError says what else is wrong with it, never what is in it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _WITHOUT_SURPRISES)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ConfigError(f"{path} is a symbolic link; name the file itself") from None
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        _check(path, found, what)
        data = os.read(descriptor, largest + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > largest:
        raise ConfigError(f"{path} is no {what} file: above {largest:,} bytes")
    return data, _stamp(found)


def _check(path: Path, found: os.stat_result, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is no regular file, so no {what} is kept in it")
    if os.name != "posix":  # modes and owners mean nothing elsewhere
        return
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user, who could change the {what} in it")
    if (mode := stat.S_IMODE(found.st_mode)) & 0o077:
        raise ConfigError(f"{path} is open to others (mode {mode:04o}); mend it with: chmod 600 {path}")


def stamp_at(path: Path) -> Stamp | None:
    """The stamp of the file there, or None where there is none."""
    try:
        return _stamp(os.lstat(path))
    except OSError:
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def make_folder(path: Path) -> None:
    """Make a folder of mode 0700 unless it is there; ConfigError where that cannot be, or others may write in it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if os.name != "posix":
        return
    if found.st_uid != os.geteuid():
        raise ConfigError(f"the folder {path} belongs to another user, who could change what is in it")
    if (mode := stat.S_IMODE(found.st_mode)) & 0o022:
        raise ConfigError(
            f"the folder {path} can be written by others (mode {mode:04o}); mend it with: chmod 700 {path}"
        )


def create(path: Path, data: bytes) -> None:
    """Write a new file; FileExistsError where there is one, as by another process that was faster."""
    beside = _write_beside(path, data)
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # there are no hard links: the last word of a rename
        _replace(beside, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)


def replace(path: Path, data: bytes) -> None:
    """Write a file, over the one that is there."""
    _replace(_write_beside(path, data), path)


def _write_beside(path: Path, data: bytes) -> Path:
    """A file beside ``path`` that is to become it: so that is never half there, nor readable by others."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(beside)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return beside


def _replace(beside: Path, path: Path) -> None:
    try:
        os.replace(beside, path)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise ConfigError(f"{path}: {error.strerror}") from None
