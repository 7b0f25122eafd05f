"""AgentURI, the address of an agent: in this kernel, in a named cluster, or at a gateway; and the token for it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from ..door import is_loopback
from ..errors import ConfigError
from ..secret import reveal

__all__ = ["CLUSTER_NAME", "LONGEST", "AgentURI", "check_host", "check_redis", "check_url", "known_token"]

LONGEST = 2_048
"""Characters of the longest address that is read at all."""

CLUSTER_NAME = r"(?!local(?:/|$))[A-Za-z][A-Za-z0-9_-]{0,62}(?:/[A-Za-z0-9][A-Za-z0-9_-]{0,62}){0,3}"
"""A name in agent://NAME. Without dots and colons it is nothing that could be looked up as a host."""

_FORMS = "agent://local, agent://CLUSTER, ws://127.0.0.1:PORT or wss://HOST"
_APART = "must hold no token, query or fragment; pass the token apart"

_NETLOC = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}\.?", re.ASCII | re.IGNORECASE
)
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.ASCII | re.IGNORECASE)
"""A host that the resolver may read as an IPv4 address, as it does 2130706433, 0x7f.1 and 127.1."""

_DISGUISES = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16")))
"""IPv6 addresses that stand for IPv4 ones: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056)."""


@dataclass(frozen=True, slots=True)
class AgentURI:
    """A checked address. ``url`` is what to dial, or None for the gateway in this kernel, and for ``cluster``, the
    name of what a configuration has to know.

    A token never stands in an address: addresses are shown, logged and saved.
    """

    text: str
    url: str | None
    cluster: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is the gateway in this kernel."""
        return self.url is None and not self.cluster

    @classmethod
    def parse(cls, text: str) -> AgentURI:
        """Read an address, without asking anybody; ConfigError says in one sentence what is wrong with it."""
        if not isinstance(text, str):
            raise ConfigError(f"an address is text (str), such as agent://local, not {type(text).__name__}")
        if len(text) > LONGEST:
            raise ConfigError(f"an address has at most {LONGEST:,} characters, and this one {len(text):,}")
        shown = _without_secrets(text)
        if not text.isprintable() or " " in text:
            raise ConfigError(f"the address {shown!r} holds spaces or control characters")
        if set(text) & set("@?#"):
            raise ConfigError(f"the address {shown!r} {_APART}")
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ConfigError(f"the address {shown!r} cannot be read") from None
        match parts.scheme:
            case "agent" if parts.netloc == "local" and parts.path in ("", "/"):
                return cls(text, None)
            case "agent":
                if not re.fullmatch(CLUSTER_NAME, name := text.removeprefix("agent://").removesuffix("/"), re.ASCII):
                    raise ConfigError(
                        f"{shown!r} names no cluster; write agent://local or agent://production/cluster-a"
                    )
                return cls(f"agent://{name}", None, name)
            case "ws" | "wss" if parts.netloc:
                _check_host(parts.netloc, shown, in_clear=parts.scheme == "ws")
                return cls(text, text)
            case _:
                raise ConfigError(f"{shown!r} is no address of an agent; write {_FORMS}")


def check_url(text: str) -> str:
    """The address of one gateway; ConfigError for what `AgentURI.parse` refuses, and for names."""
    if (url := AgentURI.parse(text).url) is None:
        raise ConfigError("the address of one gateway belongs here, wss://HOST or ws://127.0.0.1:PORT")
    return url


def check_redis(text: str) -> str:
    """The address of a Redis, redis://HOST:PORT/DB or rediss://…; ConfigError where a gateway's would be refused.

    Whether it may go in clear is not decided here.
    """
    scheme, _, rest = text.partition("://")
    netloc, _, db = rest.partition("/")
    if scheme not in ("redis", "rediss") or (db and not (db.isascii() and db.isdecimal())):
        raise ConfigError("the address of a Redis is redis://HOST:PORT/DB or rediss://HOST:PORT/DB, without a password")
    try:
        AgentURI.parse(f"wss://{netloc}")
    except ConfigError as error:
        raise ConfigError(str(error).replace("wss://", f"{scheme}://").replace("gateway", "Redis")) from None
    return text


def check_host(text: str) -> str:
    """A host that something listens at, as its name or usual address; ConfigError for anything else."""
    if ":" in text:
        with suppress(ValueError):
            return str(IPv6Address(text))
        raise ConfigError("the host is no IPv6 address; the port has a setting of its own")
    if _literal(text) is None and (_NUMBER.fullmatch(text) or not _NAME.fullmatch(text)):
        raise ConfigError("the host is an unusual spelling of a number, or no name; write it as 127.0.0.1 or ::1")
    return text


def known_token(url: str, cluster: str = "") -> str | None:
    """``OPENCLAW_GATEWAY_TOKEN``, unless ``OPENCLAW_GATEWAY_URL`` says that it is the token of another gateway than the
    one at ``url``, or of another ``cluster`` than the one that it belongs to."""
    try:
        meant = AgentURI.parse(os.environ.get("OPENCLAW_GATEWAY_URL") or "agent://local")
    except ConfigError:
        return None
    if meant.cluster and meant.cluster != cluster:
        return None
    if meant.url is not None and _origin(meant.url) != _origin(url):
        return None
    return reveal(os.environ.get("OPENCLAW_GATEWAY_TOKEN"))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _check_host(netloc: str, shown: str, *, in_clear: bool) -> None:
    """ConfigError unless every resolver reads the host the same way, and a gateway can be there."""
    found = _NETLOC.fullmatch(netloc)
    if found is None or not 0 < int(found["port"] or 80) < 65_536:
        raise ConfigError(f"the address {shown!r} cannot be read")
    host = found["host"]
    address = _literal(host)
    if address is None and (host.startswith("[") or _NUMBER.fullmatch(host)):
        raise ConfigError(f"the host of {shown!r} is an unusual spelling of a number; write it as 127.0.0.1 or [::1]")
    if address is None and not _NAME.fullmatch(host):
        raise ConfigError(f"the host of {shown!r} is no name: letters, digits, - and dots, or xn--… for others")
    if address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified):
        raise ConfigError(f"no gateway is at {shown!r}: {address} is no address of one machine's own")
    if in_clear and not is_loopback(host.strip("[]").lower()):
        safe = _without_secrets(f"wss://{netloc}")
        raise ConfigError(f"{shown!r} would send the token in clear; use {safe}")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that is written out in ``host`` in the usual way, or None."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address if host.startswith("[") and not any(address in net for net in _DISGUISES) else None
    return None if host.startswith("[") else address


def _without_secrets(text: str) -> str:
    """An address as an error may show it: nothing that was meant as a password, query or fragment, and not for ever.

    Such things are also found behind a look-alike or an encoded ``@``, and where a port should be.
    """
    scheme = re.match(r"(?:[a-z]+://)?", text)
    meant = unquote(normalize("NFKC", text))
    if "@" in meant or (set(meant) - set(text)) & set("?#"):
        return f"{scheme[0] if scheme else ''}***"
    text = re.sub(r"[?#;].*", "", text, flags=re.DOTALL)
    text = re.sub(r"(//(?:\[[^/]*\]|[^/:]*):)(?![0-9]*(?:/|\Z)).*", r"\1***", text)
    return text if len(text) <= 80 else text[:77] + "..."
