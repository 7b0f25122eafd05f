"""OpenClaw's own configuration, looked into for the one thing that `%openclaw connect` may need: a gateway's token."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .door import is_loopback
from .errors import ConfigError, one_line
from .secret import remember

__all__ = ["Found", "config_file", "find_secret"]

PORT = 18_789
"""Where a gateway listens whose configuration does not say."""

LARGEST = 1_000_000
"""Bytes of a configuration at most."""

_VARIABLE = re.compile(r"(\$?)\$\{([A-Z_][A-Z0-9_]*)\}")
_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Found:
    """What OpenClaw's configuration says about an address.

    ``secret`` is a token, or a password where ``kind`` says so; None with ``why``, a clause, where there is one that
    cannot be had, and None without where it asks for none. ``place`` is the file, and who else can read it.
    """

    place: str
    kind: str = "token"
    secret: str | None = field(default=None, repr=False)
    why: str = ""


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where OpenClaw's configuration is, whether or not it is there."""
    environ = os.environ if environ is None else environ
    if named := environ.get("OPENCLAW_CONFIG_PATH", "").strip():
        return Path(os.path.expanduser(named))
    state = environ.get("OPENCLAW_STATE_DIR", "").strip()
    return Path(os.path.expanduser(state or "~/.openclaw")) / "openclaw.json"


def find_secret(url: str, environ: Mapping[str, str] | None = None) -> Found | None:
    """What opens the gateway at ``url`` as OpenClaw's configuration has it, or None where that is about others.

    It is about the gateway on this machine at its port, and about ``gateway.remote.url``. Nothing in it is run: of
    references to secrets those to the environment are followed, and ``why`` names the others.
    """
    environ = os.environ if environ is None else environ
    path = config_file(environ)
    try:
        text, openness = _read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Found(_shown(path), why=f"{_shown(path)} cannot be read: {why}")
    place = _shown(path) + openness
    try:
        config = _parse(text)
    except ValueError as error:
        return Found(place, why=f"{_shown(path)} cannot be read: {error}")
    return _look(config, url, place, environ)


def _read(path: Path) -> tuple[str, str]:
    """The text, and that others can read it; FileNotFoundError, or another OSError or ValueError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        data = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) > LARGEST:
        raise ValueError(f"it has above {LARGEST:,} bytes")
    mode = stat.S_IMODE(found.st_mode) if os.name == "posix" else 0
    return data.decode("utf-8-sig"), f", which others can read (mode {mode:04o})" if mode & 0o044 else ""


def _parse(text: str) -> Mapping[str, Any]:
    """JSON, or JSON5; a ValueError says nothing of what is in it, as that may be a secret."""
    try:
        config = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError:
        config = _parse_json5(text)
    if not isinstance(config, dict):
        raise ValueError("it is no JSON object")
    return config


def _parse_json5(text: str) -> Any:
    import json5

    try:
        return json5.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        line = re.match(r"<string>:(\d+)", str(error))
        raise ValueError(f"it is no JSON5{f' (line {line[1]})' if line else ''}") from None


def _look(config: Mapping[str, Any], url: str, place: str, environ: Mapping[str, str]) -> Found | None:
    gateway = _table(config.get("gateway"))
    remote, auth = _table(gateway.get("remote")), _table(gateway.get("auth"))
    variables = {**_inline(config.get("env")), **{name: value for name, value in environ.items() if value}}
    if _same(remote.get("url"), url, variables):
        return _secret_of(remote, "gateway.remote", place, variables)
    parts = urlsplit(url)
    port = environ.get("OPENCLAW_GATEWAY_PORT") or gateway.get("port", PORT)
    if not is_loopback(parts.hostname or ""):
        return None
    if str(port) != str(parts.port or _PORTS[parts.scheme]):
        return Found(place, why=f"{place} is about the gateway at port {one_line(port, 10)} of this machine")
    if auth.get("mode") in ("none", "trusted-proxy"):
        return Found(place)
    return _secret_of(auth, "gateway.auth", place, variables)


def _secret_of(table: Mapping[str, Any], name: str, place: str, variables: Mapping[str, str]) -> Found | None:
    kinds = ("password", "token") if table.get("mode") == "password" else ("token", "password")
    for kind in kinds:
        if table.get(kind):
            try:
                secret = _resolve(table[kind], f"{name}.{kind}", variables)
            except ConfigError as error:
                return Found(place, kind, why=f"{error}, in {place}")
            remember(secret, f"openclaw.json:{name}.{kind}")
            return Found(place, kind, secret)
    return None


def _resolve(value: Any, name: str, variables: Mapping[str, str]) -> str:
    """The secret that a value is, or that it refers to. ConfigError names the reference, never a secret."""
    if isinstance(value, str):
        found = _VARIABLE.sub(lambda match: match[0][1:] if match[1] else _variable(match[2], name, variables), value)
        return found.strip()
    reference = _table(value)
    source, id = one_line(reference.get("source", ""), 20), reference.get("id")
    if source == "env" and isinstance(id, str):
        return _variable(id, name, variables)
    if source:
        raise ConfigError(f"{name} refers to a secret of the source {source!r}, which only OpenClaw can look up")
    raise ConfigError(f"{name} is neither text nor a reference to a secret")


def _variable(variable: str, name: str, variables: Mapping[str, str]) -> str:
    if variable in variables:
        return variables[variable]
    raise ConfigError(f"{name} refers to the variable {one_line(variable, 80)}, which is not set here")


def _inline(env: Any) -> dict[str, str]:
    """The variables that a configuration sets itself, unless the environment has them."""
    tables = (_table(env), _table(_table(env).get("vars")))
    return {name: value for table in tables for name, value in table.items() if isinstance(value, str) and value}


def _same(address: Any, url: str, variables: Mapping[str, str]) -> bool:
    """Whether a configured address is that of the gateway at ``url``, wherever on it a page may be."""
    if not isinstance(address, str):
        return False
    try:
        return _origin(_resolve(address, "gateway.remote.url", variables)) == _origin(url)
    except (ConfigError, ValueError):
        return False


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url.strip())
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _shown(path: Path) -> str:
    """A path as people write it."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):  # elsewhere, or of a user without a home folder
        return str(path)
