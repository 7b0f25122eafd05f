"""Secret, the name of a secret that lies elsewhere: in the environment or in the system's keyring."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Self

from .errors import ConfigError

__all__ = ["SHORTEST", "Secret", "remember", "reveal", "revealed"]

SHORTEST = 8
"""Characters of a secret at least: what is shorter is too often part of something else to be looked for."""

_MOST = 100  # revealed values remembered: whoever renews a token every hour shall not slow everything down
_REFERENCE = re.compile(r"env:(?P<name>[A-Za-z_]\w{0,127})|keyring:(?P<service>[!-~]{1,200})/(?P<user>[!-.0-~]{1,100})")

_revealed: dict[str, str] = {}


class Secret(str):
    """A reference to a secret: ``Secret("env:NAME")``, or ``Secret("keyring:SERVICE/USER")`` with the package keyring.

    It is a str, and its text is the reference, so whatever shows, copies, pickles or keeps it has the reference only;
    two are equal when their references are. The value is looked up by ``reveal()``, each time anew, and nowhere else.
    ConfigError for any other text, which is not repeated: it may be the secret itself.
    """

    __slots__ = ()

    def __new__(cls, reference: str) -> Self:
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
            raise ConfigError("a Secret takes a reference, env:NAME or keyring:SERVICE/USER, never the value itself")
        return super().__new__(cls, reference)

    def __repr__(self) -> str:
        return f"Secret({str.__repr__(self)})"

    def reveal(self) -> str:
        """The value. ConfigError with the reference where there is none."""
        found = _REFERENCE.fullmatch(self)
        assert found is not None  # noqa: S101 - checked when it was made
        value = os.environ.get(found["name"]) if found["name"] else self._from_keyring(found["service"], found["user"])
        if not value:
            where = f"the variable {found['name']} is not set" if found["name"] else "the keyring has no such entry"
            raise ConfigError(f"{str(self)!r} cannot be resolved: {where}")
        remember(value, str(self))
        return value

    def _from_keyring(self, service: str, user: str) -> str | None:
        try:
            keyring = import_module("keyring")
        except ImportError:
            raise ConfigError(
                f"{str(self)!r} cannot be resolved: the package keyring is not installed (pip install keyring)"
            ) from None
        try:
            value: str | None = keyring.get_password(service, user)
        except Exception as error:  # of whichever of its many backends; its words may be anything
            raise ConfigError(f"{str(self)!r} cannot be resolved: {type(error).__name__} in the keyring") from None
        return value


def reveal(token: str | None) -> str | None:
    """What a user's token stands for: the value of a Secret or of its text; any other token, and None, as it is."""
    if token is None or not token.startswith(("env:", "keyring:")):
        return token
    return Secret(token).reveal()


def revealed() -> Mapping[str, str]:
    """The values that were revealed in this process, each with its reference, so that they can be told from text."""
    return MappingProxyType(_revealed)


def remember(value: str, reference: str) -> None:
    """Have a secret that was found elsewhere told from text as well; ``reference`` stands in its place."""
    if len(value) >= SHORTEST and value not in _revealed:
        if len(_revealed) >= _MOST:
            _revealed.pop(next(iter(_revealed)), None)
        _revealed[value] = reference
