"""A gateway as OpenClaw's own behave on the wire: cumulative text, nothing replayed, strict about parameters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from openclaw_nb.client import OpenClawClient
from tests.spine import asynchronous

__all__ = ["Foreign", "asynchronous", "foreign"]

KNOWN = {
    "chat.send": {"sessionKey", "message", "idempotencyKey", "thinking", "attachments"},
    "agent": {
        "sessionKey", "message", "idempotencyKey", "thinking", "attachments", "deliver", "extraSystemPrompt",
    },
    "chat.history": {"sessionKey", "limit"},
    "chat.abort": {"sessionKey", "runId"},
    "agent.wait": {"runId", "timeoutMs"},
    "exec.approval.resolve": {"id", "decision"},
    "exec.approval.list": set(),
    "models.list": set(),
}  # fmt: skip
"""Its methods, and what may be said with them."""


class Foreign:
    """One scripted gateway; the test says what it tells, and reads what it was asked."""

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.runs: dict[str, str] = {}
        self.so_far: dict[str, str] = {}
        self.messages: list[dict[str, Any]] = []
        self.approvals: list[dict[str, Any]] = []
        self.levels = ["off", "minimal", "low", "medium", "high"]
        self.boot = "first"
        self.agent = "main"
        self.refused: dict[str, str] = {}
        """What it refuses, by method, and why."""
        self.outcome: dict[str, Any] = {
            "meta": {"agentMeta": {"model": "m", "usage": {"input": 30, "output": 4, "total": 99}}},
        }
        self.ws: ServerConnection | None = None
        self.seq = 0
        self._accepted: dict[str, str] = {}

    async def serve(self, ws: ServerConnection) -> None:
        before, self.ws = self.ws, ws
        self._accepted.clear()
        await self.event("connect.challenge", {"nonce": "n", "ts": 1})
        try:
            async for raw in ws:
                request = json.loads(raw)
                self.asked.append((request["method"], request["params"]))
                if request["method"] == "agent":
                    self._accepted[request["params"]["idempotencyKey"]] = request["id"]
                answer = self.answer(request["method"], request["params"])
                await ws.send(json.dumps({"type": "res", "id": request["id"], **answer}))
        except ConnectionClosed:
            pass
        finally:
            if self.ws is ws and before is not None:
                self.ws = before

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method != "connect" and (extra := params.keys() - KNOWN.get(method, params.keys())):
            return self.refusal(f"invalid {method} params: at root: unexpected property {extra}")
        if (why := self.refused.get(method)) is not None:
            return self.refusal(why)
        match method:
            case "connect":
                return {"ok": True, "payload": self.hello()}
            case "chat.send" | "agent":
                key = params["idempotencyKey"]
                begun = "started" if method == "chat.send" else "accepted"
                if key not in self.runs:
                    self.messages.append({"role": "user", "content": params["message"]})
                status = self.runs.get(key, begun)
                self.runs.setdefault(key, "in_flight")
                return {"ok": True, "payload": {"runId": key, "status": status}}
            case "chat.history":
                return {"ok": True, "payload": self.history(params.get("limit", 200))}
            case "chat.abort":
                return {"ok": True, "payload": {"ok": True, "aborted": True, "runIds": [params["runId"]]}}
            case "agent.wait":
                status = "ok" if self.runs.get(params["runId"]) == "ok" else "timeout"
                return {"ok": True, "payload": {"runId": params["runId"], "status": status}}
            case "models.list" if self.protocol == 4:
                model = {"id": "m", "provider": "p", "thinkingLevels": [{"id": word} for word in self.levels]}
                return {"ok": True, "payload": {"models": [model]}}
            case "exec.approval.list" if self.protocol == 4:
                return {"ok": True, "payload": self.approvals}
            case "exec.approval.resolve":
                return {"ok": True, "payload": {"ok": True}}
            case _:
                return self.refusal(f"unknown method: {method}")

    def hello(self) -> dict[str, Any]:
        policy = {"maxPayload": 26_214_400, "tickIntervalMs": 30_000}
        features = {"methods": ["health"], "events": ["chat"]}
        snapshot = {"uptimeMs": 5_000, "sessionDefaults": {"defaultAgentId": self.agent}}
        server = {"version": "2026.9.6", "bootId": self.boot}
        return {
            "protocol": self.protocol, "features": features, "policy": policy, "snapshot": snapshot, "server": server,
        }  # fmt: skip

    def history(self, limit: int) -> dict[str, Any]:
        told: dict[str, Any] = {"messages": self.messages[-limit:]}
        if self.protocol == 4:
            told["sessionInfo"] = {"modelProvider": "p", "model": "m"}
            for key, text in self.so_far.items():
                told["inFlightRun"] = {"runId": key, "text": text}
        elif "in_flight" in self.runs.values():
            told["messages"] = []
        return told

    def refusal(self, message: str) -> dict[str, Any]:
        return {"ok": False, "error": {"code": "INVALID_REQUEST", "message": message}}

    async def event(self, name: str, payload: dict[str, Any]) -> None:
        assert self.ws is not None
        self.seq += 1
        await self.ws.send(json.dumps({"type": "event", "event": name, "payload": payload, "seq": self.seq}))

    async def work(self, key: str, stream: str, ts: int = 0, **data: Any) -> None:
        """Tell of what a run does on its way."""
        await self.event("agent", {"runId": key, "stream": stream, "data": data, "ts": ts})

    async def say(self, key: str, text: str, state: str = "delta", **more: Any) -> None:
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        if state == "delta":
            self.so_far[key] = text
        else:
            self.over(key, text)
        told = {"runId": key, "sessionKey": "agent:main:main", "state": state, "message": message}
        await self.event("chat", told | more)
        if state != "delta" and (id := self._accepted.pop(key, None)) is not None and self.ws is not None:
            payload = {"runId": key, "status": "ok", "result": self.outcome}
            await self.ws.send(json.dumps({"type": "res", "id": id, "ok": True, "payload": payload}))

    def over(self, key: str, *texts: str) -> None:
        """A run has ended, with these answers, and its history says so."""
        self.runs[key] = "ok"
        self.so_far.pop(key, None)
        for number, text in enumerate(texts, 1):
            message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": text}], "model": "m"}
            message["stopReason"] = "stop" if number == len(texts) else "toolUse"
            if self.protocol == 4:
                usage = {"input": 10, "output": 2, "cacheRead": 5, "cacheWrite": 1, "cost": {"total": 0.25}}
                message |= {"usage": usage, "__openclaw": {"runId": key}}
            self.messages.append(message)

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The messages that it was asked to answer."""
        return [params for method, params in self.asked if method in ("chat.send", "agent")]


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
