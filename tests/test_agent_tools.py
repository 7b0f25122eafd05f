"""OpenClawAgent with tools: functions of the notebook at the gateway in this process, shown and remembered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openclaw_nb import Gateway, OpenClawAgent, OpenClawClient, Runtime
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Step
from openclaw_nb.run import Run
from openclaw_nb.tools import RESULT_LIMIT, Tool
from tests.mock_openai import MockOpenAI, Reply


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def agent_with(*tools: Callable[..., Any] | Tool, name: str = "helper") -> OpenClawAgent:
    return OpenClawAgent(name, model="offline:0", tools=tools, reasoning_level=1)


def shown(run: Run) -> list[tuple[str, str]]:
    run.result(60)
    for step in run.steps:
        assert step.seconds is not None
        assert step.seconds >= 0
    return [(step.title, step.text) for step in run.steps if step.key != "load"]


def test_the_model_calls_functions_of_the_notebook() -> None:
    called: list[int] = []

    def note(n: int) -> str:
        """Notes a number."""
        called.append(n)
        return f"noted {n}"

    agent = agent_with(note, add)
    run = agent.analyze("use add(40, 2) then note(7)")
    assert run.result(60) == "I use `add(40, 2)`. It gives: 42\n\nI use `note(7)`. It gives: noted 7"
    assert called == [7]
    assert shown(run) == [("add(a=40, b=2)", "42"), ("note(n=7)", "noted 7")]
    again = agent.analyze("what did I ask first?")
    assert "use add(40, 2)" in again.result(60)


def test_the_loop_with_a_provider(monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]) -> None:
    both = [("add", '{"a": 40, "b": 2}'), ("add", '{"a": "forty"}')]
    with MockOpenAI(Reply(tokens=["Let me ", "add. "], calls=both), Reply(tokens=["It is ", "42."])) as mock:
        monkeypatch.setenv("OPENAI_BASE_URL", mock.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        agent = OpenClawAgent("sums", model="openai-chat:gpt-4o", tools=[add], reasoning_level=1)
        run = agent.analyze("40 and 2?")
        assert run.result(30) == "Let me add. It is 42."
        [(title, given), (_, refused)] = shown(run)
        assert (title, given) == ("add(a=40, b=2)", "42")
        assert refused.startswith("add was not called: a: Input should be a valid integer")
        assert run.result(60).usage.output_tokens == 4
        *_, asked, one, other = mock.requests[1].body["messages"]
        assert asked["content"] == "Let me add. "
        assert [call["id"] for call in asked["tool_calls"]] == [one["tool_call_id"], other["tool_call_id"]]
        assert (one["content"], other["content"]) == (given, refused)
        assert mock.calls == 2
    figure("issue 4 tools", f"a provider's two streamed calls: {mock.calls} requests, both results told by their ids")


def test_what_is_shown_is_bounded_and_no_markup() -> None:
    def page() -> str:
        """A page from somewhere."""
        return "<script>alert(1)</script>" * 10_000

    run = agent_with(page).analyze("use page()")
    [(title, text)] = shown(run)
    assert (title, len(text) <= RESULT_LIMIT) == ("page()", True)
    html = run.result(60)._repr_mimebundle_()["text/html"]
    assert "<script" not in html


def test_history_tells_one_answer() -> None:
    agent = agent_with(add)
    run = agent.analyze("use add(1, 2)", session="sums")
    answer = run.result(60)

    async def history() -> Any:
        return await agent.client.request("chat.history", {"sessionKey": "agent:helper:sums"})

    told = Runtime.shared().call(history()).result(60)["messages"]
    assert [message["role"] for message in told] == ["user", "assistant"]
    assert told[1]["content"][0]["text"] == answer
    assert (told[1]["runId"], told[1]["state"]) == (run.id, "final")


def test_agents_of_one_name_keep_their_tools_apart() -> None:
    def twice(a: int) -> int:
        return 2 * a

    def make(factor: int) -> OpenClawAgent:
        def scale(a: int) -> int:
            """Scales."""
            return factor * a

        return agent_with(scale, twice)

    one, other = make(3), make(5)
    assert one.analyze("use scale(2)", session="a").result(60).endswith("6")
    assert other.analyze("use scale(2)", session="b").result(60).endswith("10")


def test_a_run_that_is_stopped_in_a_tool_stops_at_once() -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow() -> str:
        """Takes long."""
        begun.set()
        gate.wait(600)
        return "late"

    run = agent_with(slow).analyze("use slow()")
    assert begun.wait(60)
    run.cancel()
    result = run.result(60)
    gate.set()
    assert (result.status, result.text) == ("stopped", "I use `slow()`. ")
    assert [(step.title, step.text) for step in run.steps] == [("slow()", "")]
    assert isinstance(run.steps[0], Step)
    for thread in threading.enumerate():
        if thread.name == "openclaw tool slow":
            thread.join(60)


def test_what_cannot_be_a_tool_is_said_when_the_agent_is_made() -> None:
    def untyped(a):  # type: ignore[no-untyped-def]
        return a

    with pytest.raises(ConfigError, match="untyped cannot be a tool: its parameter a has no type"):
        agent_with(untyped)


def test_tools_stay_in_this_process() -> None:
    async def work() -> None:
        async with Gateway() as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            with pytest.raises(ConfigError, match="no tools"):
                OpenClawAgent(client=client, tools=[add])

    asyncio.run(work())
