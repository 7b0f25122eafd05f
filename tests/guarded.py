"""A gateway that lets in only computers that its owner approved, as OpenClaw's own do beyond their machine."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from websockets.asyncio.server import serve

from tests.foreign import Foreign

__all__ = ["ISSUED", "TOKEN", "Guarded", "aside", "served"]

TOKEN = "the-shared-token"
ISSUED = "the-token-of-this-device"


class Guarded(Foreign):
    """One that takes a shared token, and as `demands` says asks for a device that is among the `approved`."""

    def __init__(self, demands: str = "", *, token: str = TOKEN, issued: str = ISSUED) -> None:
        super().__init__(4)
        self.demands = demands
        self.token = token
        self.issued = issued
        self.capabilities: list[str] | None = None
        self.approved: set[str] = set()
        self.stale = ""
        self.known: list[str] = []
        self.words = "no"

    async def event(self, name: str, payload: dict[str, Any]) -> None:
        told = {} if self.capabilities is None else {"capabilities": self.capabilities}
        await super().event(name, payload | told)

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method != "connect":
            return super().answer(method, params)
        auth, device = params.get("auth", {}), params.get("device")
        if device is None:
            return self.without_device(auth, params)
        self.check(device, params)
        self.known.append(device["id"])
        if "deviceToken" in auth:
            if self.stale or auth["deviceToken"] != self.issued:
                return self.refuse(self.stale or "AUTH_DEVICE_TOKEN_MISMATCH")
            return self.welcome(params["scopes"], self.issued)
        if auth.get("token") != self.token:
            return self.refuse("AUTH_TOKEN_MISMATCH" if auth else "AUTH_TOKEN_MISSING")
        if device["id"] not in self.approved:
            return self.refuse("PAIRING_REQUIRED", requestId="r-1", reason="not-paired")
        return self.welcome(params["scopes"], self.issued)

    def without_device(self, auth: dict[str, str], params: dict[str, Any]) -> dict[str, Any]:
        if self.demands == "device":
            return self.refuse("DEVICE_IDENTITY_REQUIRED")
        if self.token not in (auth.get("token"), auth.get("password")):
            return self.refuse("AUTH_TOKEN_MISMATCH")
        return self.welcome([] if self.demands == "scopes" else params["scopes"])

    def check(self, device: dict[str, Any], params: dict[str, Any]) -> None:
        """Raise unless the device signed just this."""
        client, auth = params["client"], params.get("auth", {})
        said = "|".join([
            "v3", device["id"], client["id"], client["mode"], params["role"], ",".join(params["scopes"]),
            str(device["signedAt"]), auth.get("token") or auth.get("deviceToken") or "", "n", client["platform"], "",
        ])  # fmt: skip
        key, signature = (base64.urlsafe_b64decode(device[name] + "==") for name in ("publicKey", "signature"))
        Ed25519PublicKey.from_public_bytes(key).verify(signature, said.encode())

    def refuse(self, code: str, **details: Any) -> dict[str, Any]:
        return {
            "ok": False,
            "error": {"code": "NOT_PAIRED", "message": self.words, "details": {"code": code, **details}},
        }

    def welcome(self, scopes: list[str], device_token: str = "") -> dict[str, Any]:
        auth = {"role": "operator", "scopes": scopes, **({"deviceToken": device_token} if device_token else {})}
        return {"ok": True, "payload": {"protocol": 4, "features": {}, "policy": {}, "auth": auth}}

    def attempts(self) -> list[tuple[dict[str, str], bool]]:
        """What each connect gave, and whether it told the device."""
        return [(params.get("auth", {}), "device" in params) for method, params in self.asked if method == "connect"]


@asynccontextmanager
async def served(gateway: Guarded) -> AsyncIterator[str]:
    async with serve(gateway.serve, "127.0.0.1", 0, logger=logging.Logger("a gateway elsewhere")) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@contextmanager
def aside(gateway: Guarded) -> Iterator[str]:
    """The same on a thread of its own."""
    ready, urls = threading.Event(), []

    async def stay(ended: asyncio.Event) -> None:
        async with served(gateway) as url:
            urls.append(url)
            ready.set()
            await ended.wait()

    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(stay(ended)), name="guarded")
    thread.start()
    try:
        assert ready.wait(60)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(60)
        loop.close()
