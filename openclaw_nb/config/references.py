"""TokenReference, where a secret is that a configuration names, and never holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..secret import Secret, remember
from ..tokens import TokenFile
from .document import Node, Reading, Scalar, Table
from .kinds import place

__all__ = ["Reference", "TokenReference"]

_WANTED = "{env: VARIABLE}, {file: PATH} or {keyring: SERVICE/USER}, never the secret itself"
_FORMS = {"env": r"[A-Za-z_][A-Za-z0-9_]{0,127}", "file": r"\S.*", "keyring": r"[!-~]{1,200}/[!-.0-~]{1,100}"}


@dataclass(frozen=True, slots=True)
class TokenReference:
    """A secret by its reference: ``env:VARIABLE``, ``file:PATH`` or ``keyring:SERVICE/USER``."""

    text: str

    def __str__(self) -> str:
        return self.text

    def read(self) -> str:
        """The secret as it is now; ConfigError names the reference where there is none."""
        kind, _, where = self.text.partition(":")
        if kind != "file":
            return Secret(self.text).reveal()
        try:
            token = TokenFile(Path(where)).current()[0]
        except ConfigError as error:
            raise ConfigError(f"{self.text!r} cannot be resolved: {error}") from None
        remember(token, self.text)
        return token


@dataclass(frozen=True, slots=True)
class Reference:
    """The kind of a setting that refers to a secret. What else stands there may be one, and is not repeated."""

    def read(self, node: Node, reading: Reading) -> TokenReference:
        match node:
            case Table(entries=((Scalar(text=kind), Scalar(text=where)),)):
                pass
            case Scalar(text=text) if ":" in text:
                kind, _, where = text.partition(":")
            case _:
                raise ConfigError(f"a secret is given by reference, {_WANTED}")
        if kind == "file" and where.isprintable() and where.strip():
            return TokenReference(f"file:{place(where, reading)}")
        try:
            return TokenReference(str(Secret(f"{kind}:{where}")))
        except ConfigError:
            raise ConfigError(f"a secret is given by reference, {_WANTED}") from None

    def schema(self) -> dict[str, Any]:
        mappings = [
            {
                "type": "object",
                "properties": {kind: {"type": "string", "pattern": f"^{form}$"}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, form in _FORMS.items()
        ]
        written = "|".join(f"{kind}:{form}" for kind, form in _FORMS.items())
        return {"anyOf": [*mappings, {"type": "string", "pattern": f"^(?:{written})$"}]}
