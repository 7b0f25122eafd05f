"""Tokens, what opens a gateway, newest first: kept in memory, or in a file that only its owner may read."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .errors import ConfigError

__all__ = ["TokenFile", "Tokens"]

SHORTEST = 16
"""Characters of a token in a file at least: what is shorter can be guessed."""

LARGEST = 4096
"""Bytes of a token file at most."""

_TOKEN = re.compile(rb"[!-~]+")

_WITHOUT_SURPRISES = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No symbolic link is followed, and no pipe waited for, where the system knows how."""

log = logging.getLogger("openclaw_nb")

Stamp = tuple[int, ...]


class Tokens:
    """Tokens in memory, from one on; None makes a random one."""

    def __init__(self, token: str | None = None) -> None:
        self._valid: tuple[str, ...] = (_new_token() if token is None else token,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._valid)} valid>"

    def current(self) -> tuple[str, ...]:
        """The tokens that are valid now, newest first."""
        return self._valid

    def rotate(self) -> None:
        """Put a new token in front; the one before stays valid, so that clients can move over."""
        self._replace((_new_token(), self.current()[0]))

    def revoke(self) -> None:
        """Keep the newest token only; ConfigError where there is no other, as nothing would be revoked."""
        if len(tokens := self.current()) == 1:
            raise ConfigError(f"there is only one token{self._where()}, which stays valid; rotate it before you revoke")
        self._replace(tokens[:1])

    def _replace(self, tokens: tuple[str, ...]) -> None:
        self._valid = tokens

    def _where(self) -> str:
        return ""


class TokenFile(Tokens):
    """Tokens in a file of mode 0600, one to a line, newest first; every line is valid.

    What others change in it is noticed. ConfigError says what is wrong with the file, never what is in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._valid, self._stamp = _read(self.path)
        self._complaint = ""

    @classmethod
    def ensure(cls, path: str | os.PathLike[str]) -> TokenFile:
        """The file as it is; with a random token where there was none."""
        target = Path(path).absolute()
        if not os.path.lexists(target):
            with suppress(FileExistsError):  # another process was faster, and its token is as good
                _write(target, (_new_token(),), _create)
        return cls(target)

    def current(self) -> tuple[str, ...]:
        """The tokens in the file now. While it cannot be read those it held last: whoever moves or breaks the file by
        mistake locks nobody out; the log says so once."""
        if _stamp_at(self.path) != self._stamp:
            try:
                self._valid, self._stamp = _read(self.path)
                self._complaint = ""
            except ConfigError as error:
                if self._complaint != (complaint := str(error)):
                    log.warning("%s; the tokens known before stay valid", complaint)
                    self._complaint = complaint
        return self._valid

    def _replace(self, tokens: tuple[str, ...]) -> None:
        _write(self.path, tokens, os.replace)

    def _where(self) -> str:
        return f" in {self.path}"


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _read(path: Path) -> tuple[tuple[str, ...], Stamp]:
    try:
        descriptor = os.open(path, os.O_RDONLY | _WITHOUT_SURPRISES)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ConfigError(f"{path} is a symbolic link; name the file itself") from None
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        _check(path, found)
        return _parse(path, os.read(descriptor, LARGEST + 1)), _stamp(found)
    finally:
        os.close(descriptor)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is no regular file, so no tokens are kept in it")
    if os.name != "posix":  # modes and owners mean nothing elsewhere
        return
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user, who could change the tokens in it")
    if (mode := stat.S_IMODE(found.st_mode)) & 0o077:
        raise ConfigError(f"{path} is open to others (mode {mode:04o}); mend it with: chmod 600 {path}")


def _parse(path: Path, data: bytes) -> tuple[str, ...]:
    if len(data) > LARGEST:
        raise ConfigError(f"{path} is no token file: above {LARGEST:,} bytes")
    lines = {number: line.strip() for number, line in enumerate(data.split(b"\n"), 1) if line.strip()}
    for number, line in lines.items():
        if not _TOKEN.fullmatch(line):
            raise ConfigError(f"line {number} of {path} is no token, which is ASCII without spaces")
        if len(line) < SHORTEST:
            raise ConfigError(f"line {number} of {path} is no token, which has {SHORTEST} characters or more")
    if not lines:
        raise ConfigError(f"{path} is empty; delete it to have a new token made")
    return tuple(line.decode() for line in lines.values())


def _stamp(found: os.stat_result) -> Stamp:
    """What differs once a file was replaced, written, or opened to others, as that sets its ctime."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _stamp_at(path: Path) -> Stamp | None:
    try:
        return _stamp(os.lstat(path))
    except OSError:
        return None


def _write(path: Path, tokens: Sequence[str], place: Callable[[Path, Path], None]) -> None:
    """Write a file beside ``path`` and ``place`` it there: it is never half there, nor readable by others."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.writelines(f"{token}\n" for token in tokens)
                file.flush()
                os.fsync(file.fileno())
            place(beside, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _create(source: Path, target: Path) -> None:
    """Give a file its name unless that is taken; as the last word of a rename where there are no hard links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        os.replace(source, target)
