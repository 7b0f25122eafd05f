"""What the tests of the tool loop share: a model that follows scripts, a tool whose effect counts, an engine."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from openclaw_nb.engine import AgentSpec, Engine, Turn
from openclaw_nb.models.base import ModelEvent, ModelRequest, StepDelta, TextDelta, ToolCall
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.tools import Toolbox

__all__ = ["Bank", "Rounds", "Script", "engine_with", "kept", "play", "say", "steps", "text", "turn", "use"]

Script = list[ModelEvent | BaseException]


def say(text: str) -> TextDelta:
    return TextDelta(text)


def use(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("", name, arguments)


class Rounds:
    """A Model that gives one script after another, the last one for ever, and records what it was asked."""

    name = "rounds"

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        for event in self.scripts[min(len(self.asked), len(self.scripts)) - 1]:
            if isinstance(event, BaseException):
                raise event
            yield event

    def told(self, call: int = -1) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in self.asked[call].messages]


class Bank:
    """A tool with an effect that can be counted, and that can be held up."""

    def __init__(self) -> None:
        self.paid: list[str] = []
        self.begun = threading.Event()
        self.gate: threading.Event | None = None

    def pay(self, to: str) -> str:
        """Pay somebody."""
        self.paid.append(to)
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        return f"paid {to}"


def engine_with(model: Any, *tools: Callable[..., Any], store: SnapshotStore | None = None, **facts: Any) -> Engine:
    engine = Engine(Memory(store or SnapshotStore()), model)
    engine.register(AgentSpec("banker", tools=Toolbox(tools), **facts))
    return engine


def turn(run_id: str = "k", message: str = "q", **facts: Any) -> Turn:
    return Turn(run_id, message, "banker", **facts)


async def play(engine: Engine, asked: Turn) -> list[ModelEvent]:
    async with aclosing(engine.turn(asked)) as events:
        return [event async for event in events]


def steps(events: list[ModelEvent]) -> list[tuple[str, str, bool]]:
    return [(e.title, e.text, e.seconds is not None) for e in events if isinstance(e, StepDelta)]


def text(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def kept(engine: Engine) -> list[dict[str, Any]]:
    names = {"role", "content", "calls", "key", "name", "run", "stopped", "failed"}
    return [{k: v for k, v in message.items() if k in names} for message in engine.messages("main")]
