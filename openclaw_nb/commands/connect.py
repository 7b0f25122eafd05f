"""`%openclaw connect`: to a gateway, by a token that is looked for, or by this computer once its owner approves it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Any, TypeVar

from IPython.core.error import StdinNotImplementedError

from ..client import OpenClawClient
from ..client.credentials import Password
from ..config import AgentURI, known_token
from ..errors import AuthError, ConfigError, ConnectionLost, OpenClawError
from ..identity import has_token
from ..notebook import Notebook
from ..openclaw_config import find_secret
from ..protocol.handshake import PAIRING, Hello
from ..remote import catalog
from ..secret import Secret, remember
from ..tables import show_rows
from ..tokens import TokenFile
from ..wording import in_words
from . import endpoints
from .remote import chosen_key

__all__ = ["connect"]

T = TypeVar("T")

USAGE = (
    "write %openclaw connect URI "
    "[--token-env VARIABLE | --token REFERENCE | --token-file FILE | --password-env VARIABLE]"
)

APPROVAL = 300.0
"""Seconds that a gateway's owner gets to approve this computer; 2026.3.1 and 2026.9.6 forget the request by then."""

PAUSE = 3.0
"""Seconds between two looks at whether that happened."""

PATIENCE = 10.0
"""Seconds that a gateway gets to say what it has."""

SHOWN = 8
"""Models and agents that are named."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")


@dataclass(frozen=True, slots=True)
class _Key:
    """What is to open the gateway, and where it is from, in words; None leaves it to the environment and the device."""

    secret: str | None
    origin: str

    def __repr__(self) -> str:
        return f"_Key({self.origin})"


def connect(notebook: Notebook, words: list[str]) -> None:
    """Send runs to a gateway from now on. ConfigError, or why it does not let us in."""
    address, key = _read(words)
    if key is None and not address.is_local:
        key = _find(notebook, address)
    client, hello = _come_in(notebook, address, key)
    notebook.uri = address.text
    notebook.model = notebook.session = notebook.agent = None  # they were of the gateway before
    notebook.front.changed()
    where = [("runs go to", f"{address.text}, protocol {hello.protocol}{_version(hello)}")]
    approved = "; its owner approved this computer" if hello.device_token else ""
    elsewhere = {one.cluster for one in client.endpoints if one.links} - {address.cluster}
    origin = [("by", key.origin + approved)] if key and not elsewhere else []
    where += [("answered by", f"{', '.join(elsewhere)}, as {address.cluster} is away")] if elsewhere else []
    where += endpoints.standing(notebook)
    told = [] if address.is_local else _has(notebook, client, hello)
    show_rows("connected", [*where, *origin, *told])


def _read(words: Sequence[str]) -> tuple[AgentURI, _Key | None]:
    """The address, and what the line says it is opened by; a secret in the line is refused, and not repeated."""
    match words:
        case [uri]:
            return AgentURI.parse(uri), None
        case [uri, "--token-env", variable]:
            return AgentURI.parse(uri), _Key(_variable(variable, "--token-env"), f"the token in {variable}")
        case [uri, "--password-env", variable]:
            password = Password(_variable(variable, "--password-env"))
            return AgentURI.parse(uri), _Key(password, f"the password in {variable}")
        case [uri, "--token", reference]:
            return AgentURI.parse(uri), _Key(Secret(reference), f"the token in {reference}")
        case [uri, "--token-file", path]:
            token = TokenFile(Path(path).expanduser()).current()[0]
            return AgentURI.parse(uri), _Key(token, f"the token in {path}")
        case _:
            raise ConfigError(USAGE)


def _variable(name: str, option: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ConfigError(f"{option} takes the name of an environment variable in capitals, never the secret itself")
    if not (value := os.environ.get(name)):
        raise ConfigError(f"the environment variable {name} is not set")
    return value


def _find(notebook: Notebook, address: AgentURI) -> _Key:
    """What opens a gateway about which the line says nothing: what its cluster is configured with, the environment,
    OpenClaw's configuration, the device's own token, or what somebody types."""
    url = address.url or ""
    if address.cluster:
        cluster = notebook.runtime.configured.checked().cluster(address.cluster)
        if cluster.token is not None:
            return _Key(None, f"the token in {cluster.token}")
        url = cluster.endpoints[0].url
    if known_token(url, address.cluster):
        return _Key(None, "the token in OPENCLAW_GATEWAY_TOKEN")
    found = find_secret(url)
    if found is not None and not found.why:
        secret = Password(found.secret) if found.secret and found.kind == "password" else found.secret
        words = f"the {found.kind} in {found.place}" if secret else f"no token, as {found.place} says"
        return _Key(secret, words)
    if has_token(url, "operator"):
        return _Key(None, "the token that it gave this computer")
    why = found.why if found is not None else ""
    return _Key(_ask(address.text, why), "the token that was typed")


def _ask(uri: str, why: str) -> str:
    """A token from whoever is there."""
    try:
        token = getpass(f"{why}\ntoken of {uri}: " if why else f"token of {uri}: ")
    except (EOFError, StdinNotImplementedError):
        because = f"{why}, and " if why else ""
        raise ConfigError(
            f"{because}nobody is here to be asked; write %openclaw connect {uri} --token-env VAR"
        ) from None
    remember(token, "typed-token")
    return token


# -- coming in ---------------------------------------------------------------------------------------


def _come_in(notebook: Notebook, address: AgentURI, key: _Key | None) -> tuple[OpenClawClient, Hello]:
    """A client that was let in, when the gateway's owner has approved this computer where that is needed.

    One that is not let in leaves the one at work as it is.
    """
    if key is None:
        client = notebook.runtime.client(address.text)
        return client, _do(notebook, client.hello())
    client = notebook.runtime.dial(address, key.secret)
    try:
        hello = _first_hello(notebook, client)
    except BaseException as error:
        _do(notebook, client.close())
        if not isinstance(error, AuthError) or error.code == PAIRING:
            raise
        raise AuthError(f"{error}; what was given is {key.origin}", code=error.code) from None
    notebook.runtime.share(client)
    return client, hello


def _first_hello(notebook: Notebook, client: OpenClawClient) -> Hello:
    try:
        return _do(notebook, client.hello())
    except AuthError as refused:
        if refused.code != PAIRING:
            raise
        return _wait_for_approval(notebook, client, refused)


def _wait_for_approval(notebook: Notebook, client: OpenClawClient, refused: AuthError) -> Hello:
    """Ask again until the owner approves this computer, or the time is over; an interrupt ends it with the refusal.

    The request stays the same meanwhile, and is shown once.
    """
    until, shown = time.monotonic() + APPROVAL, ""
    while True:
        try:
            if (said := str(refused)) != shown:
                shown = said
                show_rows("waiting", [("to be let in", said), ("waiting", f"up to {APPROVAL / 60:.0f} minutes")])
            time.sleep(PAUSE)
            _do(notebook, client.reconnect())
            return _do(notebook, client.hello())
        except KeyboardInterrupt:
            raise refused from None
        except AuthError as error:
            if error.code != PAIRING or time.monotonic() > until:
                raise
            refused = error
        except ConnectionLost:
            if time.monotonic() > until:
                raise


def _do(notebook: Notebook, work: Coroutine[Any, Any, T]) -> T:
    return notebook.runtime.call(work).result()


# -- what is there -------------------------------------------------------------------------------------


def _version(hello: Hello) -> str:
    """In words; 2026.3.1 calls itself "dev"."""
    return f", OpenClaw {hello.version}" if hello.version[:1].isdigit() and not hello.is_ours else ""


def _has(notebook: Notebook, client: OpenClawClient, hello: Hello) -> list[tuple[str, str]]:
    """Its models and agents, where it tells them, and where the cells' messages go."""
    rows = []
    for name, asked in (("models", _models(client)), ("agents", _agents(client))):
        with suppress(OpenClawError, TimeoutError):
            if named := notebook.runtime.call(asked).result(PATIENCE):
                more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
                rows.append((name, ", ".join(map(in_words, named[:SHOWN])) + more))
    if not hello.is_ours:
        rows.append(("cells talk in", chosen_key(notebook)))
    return rows


async def _models(client: OpenClawClient) -> list[str]:
    return [one.id for one in sorted(await catalog.list_models(client), key=lambda one: not one.default)]


async def _agents(client: OpenClawClient) -> list[str]:
    return [one.id for one in sorted(await catalog.list_agents(client), key=lambda one: not one.default)]
