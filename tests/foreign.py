"""A gateway as OpenClaw's own behave on the wire: cumulative text, nothing replayed, strict about parameters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client import OpenClawClient
from tests.spine import asynchronous

__all__ = ["Foreign", "asynchronous", "foreign"]


class Foreign:
    """One scripted gateway; the test says what it tells, and reads what it was asked."""

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.runs: dict[str, str] = {}
        self.messages: list[dict[str, Any]] = []
        self.ws: ServerConnection | None = None
        self.seq = 0

    async def serve(self, ws: ServerConnection) -> None:
        self.ws = ws
        await self.event("connect.challenge", {"nonce": "n", "ts": 1})
        async for raw in ws:
            request = json.loads(raw)
            self.asked.append((request["method"], request["params"]))
            answer = self.answer(request["method"], request["params"])
            await ws.send(json.dumps({"type": "res", "id": request["id"], **answer}))

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if extra := params.keys() & {"model", "pace", "offset"}:
            return self.refusal(f"invalid {method} params: at root: unexpected property {extra}")
        match method:
            case "connect":
                policy = {"maxPayload": 26_214_400, "tickIntervalMs": 30_000}
                features = {"methods": ["health"], "events": ["chat"]}
                return {"ok": True, "payload": {"protocol": self.protocol, "features": features, "policy": policy}}
            case "chat.send":
                key = params["idempotencyKey"]
                status = self.runs.get(key, "started")
                self.runs.setdefault(key, "in_flight")
                return {"ok": True, "payload": {"runId": key, "status": status}}
            case "chat.history":
                return {"ok": True, "payload": {"messages": self.messages}}
            case "chat.abort":
                return {"ok": True, "payload": {"ok": True, "aborted": True, "runIds": [params["runId"]]}}
            case _:
                return self.refusal(f"unknown method: {method}")

    def refusal(self, message: str) -> dict[str, Any]:
        return {"ok": False, "error": {"code": "INVALID_REQUEST", "message": message}}

    async def event(self, name: str, payload: dict[str, Any]) -> None:
        assert self.ws is not None
        self.seq += 1
        await self.ws.send(json.dumps({"type": "event", "event": name, "payload": payload, "seq": self.seq}))

    async def say(self, key: str, text: str, state: str = "delta") -> None:
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        if state != "delta":
            self.runs[key] = "ok"
            self.messages.append(message)
        await self.event("chat", {"runId": key, "sessionKey": "agent:main:main", "state": state, "message": message})

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


@asynccontextmanager
async def foreign(protocol: int = 4) -> AsyncIterator[tuple[Foreign, OpenClawClient]]:
    """A scripted gateway, and our client connected to it."""
    gateway = Foreign(protocol)
    async with (
        serve(gateway.serve, "127.0.0.1", 0, compression=None) as server,
        OpenClawClient(token="t", reconnect_delay=0.01) as client,
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        await client.connect(f"ws://127.0.0.1:{port}")
        yield gateway, client
