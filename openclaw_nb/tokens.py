"""Tokens, what opens a gateway, newest first: kept in memory, or in a file that only its owner may read."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from . import private_files
from .errors import ConfigError

__all__ = ["TokenFile", "Tokens"]

SHORTEST = 16
"""Characters of a token in a file at least: what is shorter can be guessed."""

LARGEST = 4096
"""Bytes of a token file at most."""

_TOKEN = re.compile(rb"[!-~]+")

log = logging.getLogger("openclaw_nb")


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
                private_files.create(target, _data((_new_token(),)))
        return cls(target)

    def current(self) -> tuple[str, ...]:
        """The tokens in the file now. While it cannot be read those it held last: whoever moves or breaks the file by
        mistake locks nobody out; the log says so once."""
        if private_files.stamp_at(self.path) != self._stamp:
            try:
                self._valid, self._stamp = _read(self.path)
                self._complaint = ""
            except ConfigError as error:
                if self._complaint != (complaint := str(error)):
                    log.warning("%s; the tokens known before stay valid", complaint)
                    self._complaint = complaint
        return self._valid

    def _replace(self, tokens: tuple[str, ...]) -> None:
        private_files.replace(self.path, _data(tokens))

    def _where(self) -> str:
        return f" in {self.path}"


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _read(path: Path) -> tuple[tuple[str, ...], private_files.Stamp]:
    try:
        data, stamp = private_files.read(path, LARGEST, "token")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return _parse(path, data), stamp


def _parse(path: Path, data: bytes) -> tuple[str, ...]:
    lines = {number: line.strip() for number, line in enumerate(data.split(b"\n"), 1) if line.strip()}
    for number, line in lines.items():
        if not _TOKEN.fullmatch(line):
            raise ConfigError(f"line {number} of {path} is no token, which is ASCII without spaces")
        if len(line) < SHORTEST:
            raise ConfigError(f"line {number} of {path} is no token, which has {SHORTEST} characters or more")
    if not lines:
        raise ConfigError(f"{path} is empty; delete it to have a new token made")
    return tuple(line.decode() for line in lines.values())


def _data(tokens: Sequence[str]) -> bytes:
    return "".join(f"{token}\n" for token in tokens).encode()
