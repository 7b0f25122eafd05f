"""A process killed in mid-answer, and the next one, which goes on: what is said, asked of the model, and told."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_openai import MockOpenAI, Reply

PROCESS = """
import asyncio, json, sys, time
from openclaw_nb import models
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import AgentSpec, Engine
from openclaw_nb.gateway import Gateway
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore

async def counts(prompt):
    for n in range(150):
        yield f"{prompt} {n} "
        await asyncio.sleep(0.005)

async def ask(client, session, end):
    await client.send("first", session=session)
    run = client.send("second", session=session, idempotency_key="k")
    async for _ in run:
        print(len(run.text), flush=True)
        if len(run.text) >= end:
            time.sleep(600)  # until it is killed
    await run

async def go_on(client, memory):
    cut = memory.restore("main", memory.find(None))
    run = client.send(
        cut.message, session=cut.session, idempotency_key=cut.run_id, level=cut.level, model=cut.model,
        partial=(cut.text, cut.tokens),
    )
    first = await anext(aiter(run))
    result = await run
    return {
        "at": len(cut.text), "first": str(first), "text": result.text, "words": result.words,
        "tokens": result.usage.output_tokens,
    }

async def main(path, model, what, end):
    store = SnapshotStore(path)
    memory = Memory(store, fresh=True)
    default = models.resolve(counts if model == "counts" else model)
    engine = Engine(memory, default)
    engine._agents["main"] = AgentSpec(snapshot_interval=0.02)
    told = {}
    async with Gateway(engine=engine) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        if what == "ask":
            await ask(client, "main", float(end))
        else:
            told = await go_on(client, memory)
    if hasattr(default, "aclose"):
        await default.aclose()
    said = memory.head("main").state["messages"]
    told["said"] = [[message["role"], message["content"]] for message in said]
    told["kinds"] = sorted(message.get("run") == "k" for message in said if message["role"] == "assistant")
    told["problems"] = store.verify()
    print(json.dumps(told), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

TOKENS = 150
MODELS = {"counts": "counts", "provider": "openai-chat:mock"}


def answer(question: str) -> list[str]:
    return [f"{question} {n} " for n in range(TOKENS)]


def rest(body: dict[str, Any]) -> list[str]:
    """What is still to come of the answer to the last question, where the assistant has begun it."""
    asked = [message["content"] for message in body["messages"] if message["role"] == "user"]
    whole = answer("second" if "second" in asked else "first")
    last = body["messages"][-1]
    partial = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "assistant"), "")
    if last["role"] == "assistant" or (len(asked) > 1 and partial.startswith("second")):
        return ["".join(whole)[len(partial) :][at : at + 10] for at in range(0, len("".join(whole)) - len(partial), 10)]
    return whole


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAI]:
    with MockOpenAI(Reply(tokens=rest, interval=0.005)) as mock:
        monkeypatch.setenv("OPENAI_BASE_URL", mock.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        yield mock


def start(path: Path, model: str, what: str, end: float = math.inf) -> subprocess.Popen[str]:
    """One that asks or goes on; it stands still when the second answer has ``end`` characters."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(path), MODELS[model], what, str(end)],
        stdout=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip


def whole(path: Path, model: str, what: str) -> dict[str, Any]:
    """What a process tells that comes to its end."""
    process = start(path, model, what)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told


def kill_after(path: Path, model: str, length: int, end: int) -> None:
    """Ask, and kill the process when the second answer has so many characters: before ``end``."""
    with start(path, model, "ask", end) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= length:
                break
        process.kill()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What was said where nobody was killed; both models answer the same."""
    told = whole(tmp_path_factory.mktemp("whole") / "s.db", "counts", "ask")
    assert told["problems"] == []
    said: list[list[str]] = told["said"]
    assert said[-1] == ["assistant", "".join(answer("second"))]
    return said


@pytest.mark.parametrize(("model", "moments"), [("counts", 3), ("provider", 1)])
def test_the_transcript_equals_an_uninterrupted_one(
    tmp_path: Path, mock: MockOpenAI, uninterrupted: list[list[str]], model: str, moments: int,
    figure: Callable[[str, str], None],
) -> None:  # fmt: skip
    text = uninterrupted[-1][1]
    dice = random.Random(24)
    resumed = []
    for number in range(moments):
        path = tmp_path / f"{number}.db"
        kill_after(path, model, dice.randrange(len(text) // 10, len(text) * 3 // 4), len(text) * 9 // 10)
        asked = mock.calls
        told = whole(path, model, "restore")
        at = told["at"]
        resumed.append(at)
        assert (told["said"], told["problems"]) == (uninterrupted, [])
        assert told["kinds"] == [False, True]  # one answer of that run
        assert told["text"] == text
        assert text.startswith(told["first"])
        assert f"gone on from character {at}" in told["words"]
        if model == "counts":
            assert "counts had to" in told["words"]  # why it must be asked for all of it
        else:
            (request,) = mock.requests[asked:]
            said = [message["content"] for message in request.body["messages"] if message["role"] == "assistant"]
            assert text[:at] in said  # the part that is there is told, and only the rest is asked for
            assert sum(map(len, rest(request.body))) == len(text) - at
    figure(
        f"reliability 24 ({model})",
        f"{moments} of {moments} transcripts of killed processes equal to the uninterrupted one; "
        f"resumed at characters {', '.join(map(str, resumed))} of {len(text):,}",
    )
