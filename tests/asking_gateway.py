"""A gateway that asks before it runs commands, in a thread of its own, as that of OpenClaw 2026.9.6 was recorded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.server import serve

from tests.foreign import Foreign

__all__ = ["Asking", "asking"]

INTRO = "I look at what is there and run what was asked for before I say anything about it. "
KEY = "agent:main:notebook"


class Asking(Foreign):
    """Each line of a message that begins with "run " is a command that somebody has to allow; then comes the answer.

    ``decided`` are the decisions by command. ``expires`` is in seconds.
    """

    def __init__(self) -> None:
        super().__init__(4)
        self.decided: dict[str, str] = {}
        self.expires = 1800.0
        self.url = ""
        self._commands: dict[str, tuple[str, str]] = {}  # the run and the command of each approval that waits
        self._loop = asyncio.get_running_loop()

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "connect":
                answer = super().answer(method, params)
                answer["payload"]["features"]["methods"] = ["chat.send", "exec.approval.list", "exec.approval.resolve"]
                return answer
            case "chat.send":
                self._loop.create_task(self._begin(params["idempotencyKey"], params["message"]))
            case "exec.approval.list":
                return {"ok": True, "payload": [self._request(id) for id in self._commands]}
            case "exec.approval.resolve":
                if params["id"] not in self._commands:
                    return self.refusal("unknown or expired approval id")
                self._loop.create_task(self._resolved(params["id"], params["decision"], "gateway-client"))
                return {"ok": True, "payload": {"ok": True}}
            case "chat.abort":
                self._loop.create_task(self._abort(params["runId"]))
        return super().answer(method, params)

    def decide(self, command: str, decision: str, by: str = "cli") -> None:
        """As another client would, as soon as it is asked for; from any thread."""
        end = time.monotonic() + 60
        while not (asked := [id for id, (_, known) in list(self._commands.items()) if known == command]):
            assert time.monotonic() < end, f"nobody asked for {command!r}"
            time.sleep(0.05)
        asyncio.run_coroutine_threadsafe(self._resolved(asked[0], decision, by), self._loop).result(60)

    async def _begin(self, key: str, message: str) -> None:
        commands = [line.removeprefix("run ") for line in message.splitlines() if line.startswith("run ")]
        await asyncio.sleep(0.05)
        await self.say(key, INTRO)
        for number, command in enumerate(commands):
            id = f"{number}f59d3cc-{key}"
            self._commands[id] = key, command
            await self._tool(key, number, "start", args={"command": command})
            await self.event("exec.approval.requested", self._request(id))
        if not commands:
            await self.say(key, INTRO, "final")

    async def _resolved(self, id: str, decision: str, by: str) -> None:
        key, command = self._commands.pop(id)
        self.decided[command] = decision
        told = {"id": id, "decision": decision, "resolvedBy": by, "ts": 1}
        await self.event("exec.approval.resolved", told)
        output = f"{command} ran\n" * 3 if decision == "allow-once" else "exec denied: rejected by user"
        result = {"content": [{"type": "text", "text": output}]}
        await self._tool(key, int(id[0]), "result", isError=decision != "allow-once", result=result)
        if not any(run == key for run, _ in self._commands.values()):
            await self.say(key, f"{INTRO}All of it is decided.", "final")

    async def _abort(self, key: str) -> None:
        for id in [id for id, (run, _) in self._commands.items() if run == key]:
            del self._commands[id]
            await self.event("exec.approval.resolved", {"id": id, "decision": "deny", "resolvedBy": None, "ts": 1})
        await self.say(key, INTRO, "aborted")

    async def _tool(self, key: str, number: int, phase: str, **data: Any) -> None:
        data |= {"phase": phase, "name": "exec", "toolCallId": f"call_{number}"}
        payload = {"runId": key, "sessionKey": KEY, "stream": "tool", "data": data, "ts": 1000 + self.seq}
        await self.event("agent", payload)

    def _request(self, id: str) -> dict[str, Any]:
        key, command = self._commands[id]
        request = {
            "command": command, "cwd": "/home/me/project", "host": "gateway", "security": "allowlist", "ask": "always",
            "agentId": "main", "resolvedPath": None, "sessionKey": KEY, "runId": key, "warningText": None,
        }  # fmt: skip
        created = 1_795_329_967_792
        expires = created + int(1000 * self.expires)
        return {"approvalKind": "exec", "id": id, "request": request, "createdAtMs": created, "expiresAtMs": expires}


@contextmanager
def asking() -> Iterator[Asking]:
    """One that runs until what follows is done; ``url`` is where."""
    ready, made, over = threading.Event(), list[Asking](), list[Any]()

    async def run() -> None:
        gateway, end = Asking(), asyncio.Event()
        async with serve(gateway.serve, "127.0.0.1", 0, compression=None) as server:
            gateway.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            loop = asyncio.get_running_loop()
            made.append(gateway)
            over.append(lambda: loop.call_soon_threadsafe(end.set))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(60)
    yield made[0]
    over[0]()
    thread.join()
