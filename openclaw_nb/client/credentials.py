"""Credentials, by what a client is let in: the token it was given, or the device it runs on and that one's token."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config import TokenReference
from ..door import is_loopback
from ..errors import AuthError, ConfigError, OpenClawError
from ..identity import DeviceIdentity, DeviceToken, DeviceTokens, has_token
from ..protocol.handshake import Hello
from ..secret import remember

__all__ = ["Credentials", "Password"]

log = logging.getLogger("openclaw_nb")

_WITHOUT_DEVICE = {"DEVICE_IDENTITY_REQUIRED", "NO_SCOPES"}
"""Refusals of a client that did not say on which device it runs."""

_FOR_LESS = "AUTH_SCOPE_MISMATCH"
"""Refusal of a device's token that is for less than this client asks for: others may still come in by it."""

_STALE = {_FOR_LESS, "AUTH_DEVICE_TOKEN_MISMATCH", "AUTH_TOKEN_MISMATCH", "AUTH_TOKEN_MISSING"}
"""Refusals of a device's token, mostly because it was revoked."""


class Password(str):
    """A token of a gateway that asks for a password instead."""

    __slots__ = ()


class Credentials:
    """The proof for the gateway at ``url``: what was given, or is where its ``reference`` says, and this computer's
    identity where that is not enough.

    Gateways on this machine are told no device, unless they ask for it or are of a kind that asks those for leave only
    who have one. Others are, and keep it out until their owner approves it; then they give it a token of its own, by
    which it comes in from then on. Roles besides operator need a device everywhere; ``key`` is its file, if it is one
    of its own.
    """

    def __init__(
        self, url: str, given: str | None, *, role: str = "operator", key: Path | None = None,
        reference: TokenReference | None = None,
    ) -> None:  # fmt: skip
        self._gateway = url
        self._given = given
        self._reference = reference
        self._role = role
        self._key = key
        self._required = role != "operator"
        self._asks_for_device = self._required or not is_loopback(urlsplit(url).hostname or "")
        self._identity: DeviceIdentity | None = None
        self._tokens: DeviceTokens | None = None
        self._own: DeviceToken | None = None
        self._used: DeviceToken | None = None

    def __repr__(self) -> str:
        return f"<Credentials for {self._gateway}>"

    @property
    def secrets(self) -> Sequence[str]:
        return [secret for secret in (self._given, self._own and self._own.text) if secret]

    async def prepare(self) -> None:
        """Before dialling: have the identity at hand where it is needed, and the token as its reference has it now.
        ConfigError where there can be no identity."""
        if self._reference is not None:
            with suppress(ConfigError):  # as of a file that is just being replaced
                self._given = await asyncio.to_thread(self._reference.read)
        if self._identity is None and (self._asks_for_device or has_token(self._gateway, self._role)):
            await asyncio.to_thread(self._load)

    def _load(self) -> None:
        try:
            identity = DeviceIdentity.load(self._key)
            self._tokens = DeviceTokens(identity.id, self._key and self._key.with_suffix(".tokens"))
            self._own = self._tokens.find(self._gateway, self._role)
            remember(self._own.text if self._own else "", "device-token")
            self._identity = identity
        except ConfigError as error:
            if self._required:
                raise
            log.warning("this computer has no identity for gateways: %s", error)

    def challenged(self, challenge: Mapping[str, Any]) -> None:
        """Have the identity at hand for a gateway of OpenClaw's that asks only known computers for leave."""
        if isinstance(challenge.get("capabilities"), list) and self._identity is None:
            self._asks_for_device = True
            self._load()

    def answer(self, nonce: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """``auth`` and ``device`` for a connect request with this challenge."""
        auth: dict[str, str] = {}
        enough = self._own is not None and self._own.scopes.issuperset(request["scopes"])
        self._used = self._own if enough or self._given is None else None
        if self._used is not None:
            auth["deviceToken"] = self._used.text
        elif self._given is not None:
            auth["password" if isinstance(self._given, Password) else "token"] = str(self._given)
        told: dict[str, Any] = {"auth": auth} if auth else {}
        if self._identity is not None:
            client = request["client"]
            told["device"] = self._identity.signed(
                nonce=nonce, client_id=client["id"], client_mode=client["mode"], role=request["role"],
                scopes=request["scopes"], token=auth.get("token") or auth.get("deviceToken"),
                platform=client["platform"], device_family=client.get("deviceFamily", ""),
                now_ms=round(time.time() * 1000),
            )  # fmt: skip
        return told

    def let_in(self, hello: Hello) -> None:
        """Keep the token that it gives this device. AuthError where who tells no device may do nothing there."""
        if hello.scopes is not None and not hello.scopes and self._identity is None:
            raise AuthError("the gateway lets this client do nothing", code="NO_SCOPES")
        given = DeviceToken(hello.device_token, hello.scopes or frozenset())
        if given.text and given != self._own and self._tokens is not None:
            self._own = given
            remember(given.text, "device-token")
            asyncio.get_running_loop().run_in_executor(None, self._keep, self._tokens, given)

    def _keep(self, tokens: DeviceTokens, token: DeviceToken) -> None:
        try:
            tokens.keep(self._gateway, self._role, token)
        except ConfigError as error:
            log.warning("the token of this device was not kept: %s", error)

    def has_more(self, error: OpenClawError) -> bool:
        """Whether another proof can help after this refusal; the next attempt gives it."""
        if not isinstance(error, AuthError):
            return False
        if error.code in _WITHOUT_DEVICE and self._identity is None and not self._required:
            self._asks_for_device = self._required = True
            return True
        if error.code in _STALE and self._used is not None:
            self._own = self._newer(self._used, forget=error.code != _FOR_LESS)
            return self._own is not None or self._given is not None
        return False

    def _newer(self, refused: DeviceToken, *, forget: bool) -> DeviceToken | None:
        """The token in the file, where another client got one meanwhile; one that was ``refused`` is not kept there."""
        assert self._tokens is not None  # noqa: S101 - it gave the one that was refused
        with suppress(ConfigError):
            kept = self._tokens.find(self._gateway, self._role)
            if kept is not None and kept.text != refused.text:
                return kept
            if forget:
                self._tokens.drop(self._gateway, self._role)
        return None
