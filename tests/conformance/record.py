"""Records what the real gateways say, for tests that replay it without them.

python -m tests.conformance.record

Writes tests/protocol/recorded/openclaw-VERSION.jsonl: whole conversations in order, a frame a line with the name of its
conversation and which way it went, ">" to the gateway, "<" from it, "!" where the link was cut. Secrets, paths and
addresses are replaced; long lists, long words and what no test reads are shortened.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.conformance.gateways import RealGateway, side_by_side
from tests.conformance.model import ModelProcess
from tests.conformance.wire import Frame, Wire

__all__ = ["RECORDED", "main"]

RECORDED = Path(__file__).parents[1] / "protocol" / "recorded"
PASSED_OVER = {"health", "presence", "tick", "sessions.changed", "session.message", "task", "chat.metadata.changed"}
STREAMS = {"command_output", "item", "run_status", "usage"}
"""Of `agent` events: what others tell as well. At protocol 4 that is the answer's text too; of a run's life its model
alone is read."""

KEPT = {
    "agent", "agent.wait", "agents.list", "chat.abort", "chat.history", "chat.send", "exec.approval.list",
    "exec.approval.resolve", "health", "models.list", "sessions.list", "sessions.patch", "status",
}  # fmt: skip
"""Of the methods that a gateway says it has."""

READ = {
    "args", "auth", "client", "content", "data", "details", "error", "features",
    "inFlightRun", "message", "messages", "models", "params", "partialResult", "payload", "policy", "request", "result",
    "server", "sessionInfo", "thinkingLevels", "usage", "cost", "__openclaw", "frame",
}  # fmt: skip
"""What may be big: all else of more than SMALL characters is emptied."""

SMALL = 200
LIST = 8
WORD = 600

ADMIN = ["operator.read", "operator.write", "operator.approvals", "operator.admin"]


class Recorder:
    """Takes down conversations at one gateway."""

    def __init__(self, gateway: RealGateway) -> None:
        self.gateway = gateway
        self.lines: list[dict[str, Any]] = []

    @asynccontextmanager
    async def talk(self, name: str, **options: Any) -> AsyncIterator[Wire]:
        """A connection whose frames become a conversation, or more of one."""
        token = options.pop("token", self.gateway.token)
        if any(line["talk"] == name for line in self.lines):
            self.lines.append({"talk": name, "way": "!", "frame": {}})
        wire = Wire(self.gateway.url, token, **options)
        try:
            async with wire:
                yield wire
        finally:
            for way, frame in wire.frames:
                stream = frame["payload"].get("stream") if frame.get("event") == "agent" else None
                told = stream in STREAMS or (stream == "assistant" and self.gateway.protocol > 3)
                told = told or (stream == "lifecycle" and frame["payload"]["data"].get("phase") != "model")
                if frame.get("event") not in PASSED_OVER and not told:
                    self.lines.append({"talk": name, "way": way, "frame": self.clean(frame)})

    def clean(self, value: Any, key: str = "frame") -> Any:
        """Without what is this machine's, and what nobody reads."""
        if key == "token" or (key == "deviceToken" and value):
            return "TOKEN"
        if key not in READ and isinstance(value, dict | list) and len(json.dumps(value)) > SMALL:
            value = [name for name in value if name in KEPT] if key == "methods" else type(value)()
        if isinstance(value, dict):
            return {name: self.clean(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.clean(inner, key) for inner in (value if key in ("messages", "methods") else value[:LIST])]
        return self.clean_word(value) if isinstance(value, str) else value

    def clean_word(self, word: str) -> str:
        for secret in (self.gateway.token, str(self.gateway.folder), str(Path.home()), socket.gethostname()):
            word = word.replace(secret, "…") if len(secret) > 2 else word
        word = re.sub(r"(/[\w.-]+){3,}", "/a/path", word)
        word = re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "127.0.0.1", word)
        word = re.sub(r"linux \d[\w.-]*", "linux", word)
        return word if len(word) <= WORD else word[:WORD] + "…"


async def chat(to: Recorder) -> None:
    async with to.talk("chat") as wire:
        await wire.let_in()
        await wire.call("chat.history", {"sessionKey": "agent:main:chat", "limit": 1})
        await wire.call("models.list", {})
        await wire.chat("agent:main:chat", "hello [n=12] [ms=30]", "run-chat")
        await wire.ended("run-chat")
        await wire.call("chat.history", {"sessionKey": "agent:main:chat"})


async def thoughts(to: Recorder) -> None:
    async with to.talk("thoughts") as wire:
        await wire.let_in()
        await wire.chat("agent:main:thoughts", "ponder [think=4] [n=6]", "run-thoughts")
        await wire.ended("run-thoughts")


async def tool(to: Recorder) -> None:
    async with to.talk("tool") as wire:
        await wire.let_in()
        await wire.chat("agent:main:tool", "work [n=4] [exec=echo recorded]", "run-tool")
        await wire.ended("run-tool")
        await wire.call("chat.history", {"sessionKey": "agent:main:tool"})


def approval(decision: str) -> Callable[[Recorder], Awaitable[None]]:
    async def record(to: Recorder) -> None:
        key, run = f"agent:careful:{decision}", f"run-{decision}"
        async with to.talk(f"approval {decision}") as wire:
            # At 4 only administrators and paired devices are shown an approval.
            scopes = ADMIN if to.gateway.protocol > 3 else ADMIN[:-1]
            await wire.let_in(scopes=scopes, caps=["tool-events", "exec-approvals"])
            await wire.chat(key, "work [exec=echo allowed]", run)
            asked = await wire.until(lambda frame: frame.get("event") == "exec.approval.requested")
            await wire.call("exec.approval.resolve", {"id": asked["payload"]["id"], "decision": decision})
            await wire.until(lambda frame: frame.get("event") == "exec.approval.resolved")
            await wire.ended(run)

    return record


async def abort(to: Recorder) -> None:
    async with to.talk("abort") as wire:
        await wire.let_in()
        await wire.chat("agent:main:abort", "go on [n=100] [ms=20]", "run-abort")
        await wire.until(_grown("run-abort", 12))
        await wire.call("chat.abort", {"sessionKey": "agent:main:abort", "runId": "run-abort"})
        await wire.ended("run-abort")


async def reconnect(to: Recorder) -> None:
    async with to.talk("reconnect") as wire:
        await wire.let_in()
        await wire.chat("agent:main:cut", "go on [n=40] [ms=20]", "run-cut")
        await wire.until(_grown("run-cut", 6))
    async with to.talk("reconnect") as wire:
        await wire.let_in()
        await wire.call("chat.history", {"sessionKey": "agent:main:cut"})
        await wire.ended("run-cut")
        await wire.call("chat.history", {"sessionKey": "agent:main:cut"})


async def agent(to: Recorder) -> None:
    async with to.talk("agent") as wire:
        await wire.let_in()
        asked = {"message": "by agent [n=5]", "sessionKey": "agent:main:agent", "idempotencyKey": "run-agent"}
        id = await wire.send("agent", asked)
        await wire.call("agent.wait", {"runId": "run-agent", "timeoutMs": 20_000})
        await wire.until(lambda frame: frame.get("id") == id and frame["payload"].get("status") == "ok")


async def refusals(to: Recorder) -> None:
    async with to.talk("refusals") as wire:
        await wire.let_in()
        await wire.call("no.such.method", {})
        await wire.call("chat.send", {"sessionKey": "agent:main:refusals"})
        await wire.chat("agent:main:refusals", "go [fail]", "run-fail")
        await wire.ended("run-fail")
        if to.gateway.protocol > 3:
            await wire.chat("agent:main:refusals", "think [n=2]", "run-deep", thinking="xhigh")
            await wire.ended("run-deep")


async def not_let_in(to: Recorder) -> None:
    async with to.talk("wrong token", token="not-the-token") as wire:
        await wire.let_in()
    async with to.talk("other protocol", low=1, high=1) as wire:
        await wire.let_in()


def _grown(run: str, tokens: int) -> Callable[[Frame], bool]:
    def grown(frame: Frame) -> bool:
        payload = frame.get("payload") or {}
        if frame.get("event") != "chat" or payload.get("runId") != run or "message" not in payload:
            return False
        return len(payload["message"]["content"][0]["text"].split()) >= tokens

    return grown


TALKS = (
    chat, thoughts, tool, approval("allow-once"), approval("deny"), abort, reconnect, agent, refusals, not_let_in,
)  # fmt: skip


async def record(gateway: RealGateway) -> None:
    to = Recorder(gateway)
    for talk in TALKS:
        await talk(to)
    lines = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in to.lines]
    path = RECORDED / f"openclaw-{gateway.version}.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path.name}: {len(lines)} frames, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    RECORDED.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        ModelProcess() as model,
        side_by_side(Path(folder), model.url) as gateways,
    ):
        for gateway in gateways.values():
            asyncio.run(record(gateway))


if __name__ == "__main__":
    main()
