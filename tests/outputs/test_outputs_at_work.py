"""Structured answers on their way: asked for, checked, asked for once more, read, kept, refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from openclaw_nb import Gateway, OpenClawAgent, Runtime
from openclaw_nb.errors import ConfigError, RequestError, RunError
from openclaw_nb.events import Status
from openclaw_nb.models.base import ModelEvent, ModelRequest, Output, TextDelta
from openclaw_nb.outputs import Expected
from openclaw_nb.render import bundle
from tests.foreign import foreign
from tests.spine import asynchronous, let_in, serving


@dataclass
class City:
    name: str
    population: int


ULM = '{"name": "Ulm", "population": 126000}'
WISHES = Expected(City).wishes


class Saying:
    """Says one thing after the other; the last one again and again."""

    name = "saying"

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.requests: list[ModelRequest] = []
        self.hold: asyncio.Event | None = None

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.requests.append(request)
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        for at in range(0, len(text), 7):
            yield TextDelta(text[at : at + 7])
            await asyncio.sleep(0)
        if self.hold is not None:
            await self.hold.wait()


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@asynchronous
async def test_at_every_level(level: int) -> None:
    model = Saying(ULM)
    async with serving(model) as (_, client):
        result = await client.send("largest city of `land`?", level=level, **WISHES)
        assert result.value == City("Ulm", 126_000)
        assert (result.text, result.output) == (ULM, "City")
        asked = [request.output for request in model.requests if request.output is not None]
        assert asked[0] == Output("City", WISHES["output"]["schema"])


@asynchronous
async def test_asked_once_more_where_it_does_not_fit() -> None:
    model = Saying('{"name": "Ulm", "population": "many"}', ULM)
    async with serving(model) as (_, client):
        assert (await client.send("go", **WISHES)).value == City("Ulm", 126_000)
    again = model.requests[1]
    assert again.stage is not None
    assert again.stage.objections == ("population must be an integer",)
    assert "population must be an integer" in again.messages[-1]["content"]


@asynchronous
async def test_an_answer_that_never_fits() -> None:
    async with serving(Saying("Ulm is nice")) as (_, client):
        run = client.send("go", **WISHES)
        with pytest.raises(RunError, match=r"^the answer does not fit City: it is no JSON: ") as error:
            await run
        assert error.value.partial == "Ulm is nice"
        assert error.value.partial.value is None
        assert (run.status, error.value.code) == (Status.FAILED, "OUTPUT")
        assert run.words.startswith("the answer does not fit City")


@asynchronous
async def test_a_listener_is_told_of_the_failure() -> None:
    async with serving(Saying("no")) as (_, client):
        run = client.send("go", **WISHES)
        told: list[Any] = []
        run.subscribe(told.append)
        with pytest.raises(RunError):
            await run
        assert told[-1].status is Status.FAILED


@asynchronous
async def test_a_code_block_around_it_is_forgiven() -> None:
    async with serving(Saying(f"```json\n{ULM}\n```")) as (_, client):
        assert (await client.send("go", **WISHES)).value == City("Ulm", 126_000)


@asynchronous
async def test_without_a_type_there_is_no_value() -> None:
    async with serving(Saying(ULM)) as (_, client):
        result = await client.send("go")
        assert (result.value, result.output) == (None, "")


def test_an_agent_takes_a_type() -> None:
    agent = OpenClawAgent("mayor", model=Saying('{"result": [' + ULM + "]}"))
    assert agent.analyze("go", output_type=list[City]).result(10).value == [City("Ulm", 126_000)]
    with pytest.raises(ConfigError, match=r"^object at 0x|cannot be asked for"):
        agent.analyze("go", output_type=asyncio.Event)


def test_a_run_that_is_gone_on_with_is_asked_for_the_same() -> None:
    model = Saying(ULM)
    agent = OpenClawAgent("mayor", model=model)
    model.hold = asyncio.Event()
    run = agent.analyze("go", output_type=City)
    while not run.steps:
        time.sleep(0.01)
    run.cancel()
    stopped = run.result(10)
    assert stopped.value is None
    model.hold = None
    running = Runtime.running()
    assert running is not None
    resumed = agent.resume_from(running.memory.store.list()[-1]).result(10)
    assert resumed == ULM
    assert resumed.output == "City"
    assert model.requests[-1].output == model.requests[0].output


@asynchronous
async def test_shown_as_code() -> None:
    text = '{"name": "<b>*x*</b> ![](http://127.0.0.1:9/x)", "population": 1}'
    async with serving(Saying(text)) as (_, client):
        run = client.send("go", **WISHES)
        for shown in (bundle(await run), bundle(run)):
            assert "<b>*" not in shown["text/html"]
            assert "<img" not in shown["text/html"]
            assert "<em>" not in shown["text/html"]
            assert shown["text/markdown"].startswith("```json\n{\n  ")
            assert shown["text/plain"].startswith('{\n  "name": "<b>*x*</b>')


# -- gateways ------------------------------------------------------------------------------------


@asynchronous
async def test_a_gateway_that_has_no_such_thing() -> None:
    async with foreign() as (gateway, client):
        with pytest.raises((RequestError, RunError), match=r"gives no structured answers; leave the type out$"):
            await client.send("go", **WISHES)
        assert not gateway.sent


DEEP: dict[str, Any] = {"type": "object"}
for _ in range(60):
    DEEP = {"type": "object", "properties": {"x": DEEP}}

HOSTILE: dict[str, tuple[Any, str]] = {
    "no object": (5, "Expected `object | null`"),
    "no name": ({"schema": {"type": "object"}}, "missing required field `name`"),
    "no schema": ({"name": "x", "schema": 5}, "Expected `object`"),
    "more than is known": ({"name": "x", "schema": {"type": "object"}, "strict": True}, "unknown field `strict`"),
    "an odd name": ({"name": "a b", "schema": {"type": "object"}}, "output: a name has 1 to 64 letters"),
    "no schema of an object": (
        {"name": "x", "schema": {"type": "array"}},
        "output: a schema of an answer has the type",
    ),
    "deep": ({"name": "x", "schema": DEEP}, "output: a schema is nested at most 40 deep"),
    "huge": ({"name": "x", "schema": {"type": "object", "description": "x" * 70_000}}, "at most 65,536 bytes"),
    "elsewhere": (
        {"name": "x", "schema": {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/x"}}}},
        "its own $defs only",
    ),
}


@asynchronous
async def test_a_hostile_schema_is_refused() -> None:
    model = Saying("{}")
    async with Gateway(model=model) as gateway, let_in(gateway) as raw:
        for what, (output, words) in HOSTILE.items():
            reply = await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey=what, output=output)
            assert not reply["ok"], what
            assert words in reply["error"]["message"], what
            assert len(reply["error"]["message"]) < 400, what
        assert model.requests == []


@asynchronous
async def test_a_schema_of_loops_ends() -> None:
    model = Saying('{"x": ' * 50 + "{}" + "}" * 50)
    loop = {"$ref": "#/$defs/a"}
    twice = {"type": "object", "properties": {"x": {"allOf": [loop, loop]}}}
    schema = {**twice, "$defs": {"a": twice}}
    async with Gateway(model=model) as gateway, let_in(gateway) as raw:
        sent = await raw.ask(
            "chat.send", sessionKey="main", message="go", idempotencyKey="k", output={"name": "x", "schema": schema}
        )
        assert sent["ok"]
        await raw.event("chat", runId="k", state="final")
