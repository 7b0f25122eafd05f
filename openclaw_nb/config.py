"""AgentURI, the address of an agent: in this kernel, in a named cluster, or at a gateway."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from .door import is_loopback
from .errors import ConfigError

__all__ = ["AgentURI"]

_FORMS = "agent://local, ws://127.0.0.1:PORT or wss://HOST"


@dataclass(frozen=True, slots=True)
class AgentURI:
    """A checked address. ``url`` is what to dial, or None for the gateway in this kernel.

    A token never stands in an address: addresses are shown, logged and saved.
    """

    text: str
    url: str | None

    @classmethod
    def parse(cls, text: str) -> AgentURI:
        """Read an address; ConfigError says in one sentence what is wrong with it."""
        shown = _without_secrets(text)
        if not text.isprintable() or " " in text:
            raise ConfigError(f"the address {shown!r} holds spaces or control characters")
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ConfigError(f"the address {shown!r} cannot be read") from None
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ConfigError(f"the address {shown!r} must hold no token, query or fragment; pass the token apart")
        match parts.scheme:
            case "agent" if parts.netloc == "local" and parts.path in ("", "/"):
                return cls(text, None)
            case "agent":
                raise ConfigError(f"no cluster is configured for {shown!r}; agent://local is the one in this kernel")
            case "ws" if host and is_loopback(host):
                return cls(text, text)
            case "ws" if host:
                safe = _without_secrets(f"wss://{parts.netloc}")
                raise ConfigError(f"{shown!r} would send the token in clear; use {safe}")
            case "wss" if host:
                return cls(text, text)
            case _:
                raise ConfigError(f"{shown!r} is no address of an agent; write {_FORMS}")


def _without_secrets(text: str) -> str:
    """An address as an error may show it: no user, password, query or fragment, and not for ever."""
    text = re.sub(r"//[^/]*@", "//***@", re.sub(r"[?#].*", "", text, flags=re.DOTALL))
    return text if len(text) <= 80 else text[:77] + "..."
