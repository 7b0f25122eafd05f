"""A gateway with sessions, agents, models and usage, told in the shapes that real ones of both versions have."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client import OpenClawClient
from tests.foreign import Foreign

__all__ = ["LEVELS", "Household", "household", "in_thread", "serving"]

LEVELS = [{"id": id, "label": id} for id in ("off", "minimal", "low", "medium", "high")]
"""What 2026.9.6 says of a model that thinks."""

_ADMIN = {3: ("sessions.reset", "sessions.patch", "sessions.delete"), 4: ("sessions.reset", "sessions.delete")}

TOTALS = {
    "input": 5973, "output": 12, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 5985, "totalCost": 0.005997,
    "missingCostEntries": 0,
}  # fmt: skip


class Household(Foreign):
    """Its ``sessions`` by key, as `sessions.list` tells them, and ``said`` in each. ``counting`` answers to
    `sessions.usage` come before the sums are there; ``grants`` says whether a token may ask for operator.admin."""

    def __init__(self, protocol: int) -> None:
        super().__init__(protocol)
        self.grants = True
        self.counting = 0
        self.sessions: dict[str, dict[str, Any]] = {}
        self.said: dict[str, list[dict[str, Any]]] = {}
        self.scopes: list[tuple[str, ...]] = []
        """Of each connection that was let in."""

    def begin(self, key: str, *said: dict[str, Any], **told: Any) -> None:
        """A session in which so much was said."""
        self.sessions[key] = {
            "key": key, "kind": "direct", "chatType": "direct", "updatedAt": 1_795_391_520_000 + len(self.sessions),
            "sessionId": f"id-{len(self.sessions)}", "modelProvider": "mock", "model": "mock-1",
            "contextTokens": 128_000, **told,
        }  # fmt: skip
        self.said[key] = list(said)

    async def serve(self, ws: ServerConnection) -> None:
        before, self.ws = self.ws, ws
        await self.event("connect.challenge", {"nonce": "n", "ts": 1})
        scopes: tuple[str, ...] = ()
        async for raw in ws:
            request = json.loads(raw)
            method, params = request["method"], request["params"]
            self.asked.append((method, params))
            if method == "connect":
                scopes = tuple(params["scopes"])
                self.scopes.append(scopes)
            missing = method in _ADMIN[self.protocol] and not (self.grants and "operator.admin" in scopes)
            answer = self.refusal("missing scope: operator.admin") if missing else self.answer(method, params)
            await ws.send(json.dumps({"type": "res", "id": request["id"], **answer}))
        self.ws = before

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        told = getattr(self, "tell_" + method.replace(".", "_"), None)
        if method == "connect":
            return self.welcome(super().answer(method, params))
        return super().answer(method, params) if told is None else told(params)

    def welcome(self, answer: dict[str, Any]) -> dict[str, Any]:
        payload: dict[str, Any] = answer["payload"]
        if self.protocol > 3:
            payload["server"] = {"version": "2026.9.6"}
            payload["policy"]["attachments"] = {"maxBytes": 19_464_192, "maxImageBytes": 6_291_456}
        return answer

    def ok(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": True, "payload": payload}

    def tell_sessions_list(self, params: dict[str, Any]) -> dict[str, Any]:
        if unknown := params.keys() - {"limit"}:
            return self.refusal(f"invalid sessions.list params: at root: unexpected property {unknown}")
        newest = sorted(self.sessions.values(), key=lambda one: -one["updatedAt"])[: params["limit"]]
        more = {"totalCount": len(self.sessions), "hasMore": len(newest) < len(self.sessions), "limitApplied": 100}
        return self.ok({"count": len(newest), "sessions": newest, **(more if self.protocol > 3 else {})})

    def tell_sessions_describe(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.protocol == 3:
            return self.refusal("unknown method: sessions.describe")
        return self.ok({"session": self.sessions.get(params["key"])})

    def tell_sessions_create(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.protocol == 3:
            return self.refusal("unknown method: sessions.create")
        self.begin(params["key"], *self.said[params["parentSessionKey"]])
        return self.ok({"ok": True, "key": params["key"], "runStarted": False})

    def tell_sessions_reset(self, params: dict[str, Any]) -> dict[str, Any]:
        self.begin(params["key"])
        return self.ok({"ok": True, "key": params["key"], "entry": {}})

    def tell_sessions_patch(self, params: dict[str, Any]) -> dict[str, Any]:
        provider, _, model = (params["model"] or "mock/mock-1").partition("/")
        if model not in ("mock-1", "mock-2"):
            return self.refusal(f"model not allowed: {params['model']}")
        if params["key"] not in self.sessions:
            self.begin(params["key"])
        self.sessions[params["key"]] |= {"modelProvider": provider, "model": model}
        return self.ok({"ok": True, "resolved": {"modelProvider": provider, "model": model}})

    def tell_chat_history(self, params: dict[str, Any]) -> dict[str, Any]:
        said = self.said.get(params["sessionKey"], [])
        more = {"totalMessages": len(said), "hasMore": len(said) > params["limit"]} if self.protocol > 3 else {}
        return self.ok({"sessionKey": params["sessionKey"], "messages": said[-params["limit"] :], **more})

    def tell_agents_list(self, params: dict[str, Any]) -> dict[str, Any]:
        agents: list[dict[str, Any]] = [{"id": "main"}, {"id": "helper"}]
        if self.protocol > 3:
            agents = [{**agent, "model": {"primary": "mock/mock-1"}, "thinkingLevels": LEVELS} for agent in agents]
        return self.ok({"defaultId": "main", "mainKey": "main", "scope": "per-sender", "agents": agents})

    def tell_models_list(self, params: dict[str, Any]) -> dict[str, Any]:
        told = [
            {"id": "mock-1", "name": "Mock One", "provider": "mock", "contextWindow": 128_000, "reasoning": True},
            {"id": "mock-2", "name": "Mock Two", "provider": "mock", "contextWindow": 128_000, "reasoning": False},
        ]
        if self.protocol > 3:
            told[0] |= {"tags": ["default", "configured"], "thinkingLevels": LEVELS, "available": True}
            told[1] |= {"tags": ["configured"], "thinkingLevels": LEVELS[:1], "available": False}
        return self.ok({"models": told})

    def tell_sessions_usage(self, params: dict[str, Any]) -> dict[str, Any]:
        dates = {"startDate": params["startDate"], "endDate": params["endDate"]}
        if self.counting > 0:
            self.counting -= 1
            status = {"status": "refreshing", "pendingFiles": 22}
            return self.ok(
                {**dates, "totals": {"totalTokens": 0}, "aggregates": {"byModel": []}, "cacheStatus": status}
            )
        none = {"totals": {"totalTokens": 0, "totalCost": 0}, "count": 4}
        sums = {
            "byModel": [
                {"provider": "mock", "model": "mock-1", "count": 4, "totals": TOTALS},
                {"provider": "openclaw", "model": "gateway-injected", **none},
            ],
            "daily": [
                {"date": "2026-11-21", "tokens": 1000, "cost": 0.001, "messages": 2},
                {"date": "2026-11-22", "tokens": 4985, "cost": 0.004997, "messages": 7},
                {"date": "2026-11-20", "tokens": 0, "cost": 0, "messages": 0},
            ],
        }  # fmt: skip
        return self.ok({**dates, "sessions": [], "totals": TOTALS, "aggregates": sums})


@asynccontextmanager
async def serving(gateway: Foreign) -> AsyncIterator[str]:
    """Where it listens."""
    async with serve(gateway.serve, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def household(protocol: int = 4) -> AsyncIterator[tuple[Household, OpenClawClient]]:
    """One of this protocol, and our client connected to it."""
    gateway = Household(protocol)
    async with serving(gateway) as url, OpenClawClient(token="t", reconnect_delay=0.01) as client:
        await client.connect(url)
        yield gateway, client


@contextmanager
def in_thread() -> Iterator[Callable[[int], tuple[Household, str]]]:
    """Begins a household of a protocol, beside whatever the test waits for; it, and where it listens."""
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    ran: list[Future[None]] = []

    def begin(protocol: int) -> tuple[Household, str]:
        gateway, begun = Household(protocol), Future[str]()

        async def work() -> None:
            async with serving(gateway) as url:
                begun.set_result(url)
                await over.wait()

        ran.append(asyncio.run_coroutine_threadsafe(work(), loop))
        return gateway, begun.result(60)

    try:
        yield begin
    finally:
        loop.call_soon_threadsafe(over.set)
        for one in ran:
            one.result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
