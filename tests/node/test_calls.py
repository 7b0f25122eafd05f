"""Calls of offered functions: asked for, checked, run within their time, shown in their run, answered once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from openclaw_nb.events import End, Status
from openclaw_nb.node.calls import Calls, _Place
from openclaw_nb.node.offers import Offers
from openclaw_nb.protocol.happened import Invoked
from openclaw_nb.protocol.node import TOOL
from openclaw_nb.run import Run
from openclaw_nb.tools import ToolResult
from tests.spine import asynchronous, soon

cell: ContextVar[str] = ContextVar("cell", default="")


class Gateway:
    """One that waits for answers: those it was given, by the id of the call; ``why`` it does not take them."""

    def __init__(self, offers: Offers, run: Run | None = None, why: str = "") -> None:
        self.answers: dict[str, list[ToolResult]] = {}
        self.why = why
        self.calls = Calls(offers, lambda _: run, self._answer)

    async def _answer(self, call: Invoked, result: ToolResult) -> str:
        self.answers.setdefault(call.id, []).append(result)
        return self.why

    def ask(self, name: str, seconds: float = 30.0, id: str = "1", **arguments: Any) -> None:
        self.calls.take(Invoked(id, "device", TOOL, name, arguments, seconds, "agent:main:x"))

    async def answer(self, id: str = "1") -> ToolResult:
        await soon(lambda: id in self.answers, "an answer")
        return self.answers[id][-1]


async def decide(run: Run, allow: bool) -> None:
    await soon(lambda: run.approvals.pending, "the question")
    await asyncio.to_thread(run.approvals.decide, run.approvals.pending[0].id, allow)


def offering(function: Callable[..., Any], **options: Any) -> Offers:
    offers = Offers()
    offers(**options)(function)
    return offers


def double(x: int, words: str = "") -> int:
    """Twice x."""
    return 2 * x


@asynchronous
async def test_allowed() -> None:
    run = Run("r")
    gateway = Gateway(offering(double), run)
    gateway.ask("double", x=21)
    await soon(lambda: run.approvals.pending, "the question")
    (asked,) = run.approvals.pending
    assert (asked.title, asked.command) == ("call double", "double(x=21)")
    assert "up to 30 s" in asked.details
    assert "1" not in gateway.answers
    await decide(run, allow=True)
    assert await gateway.answer() == ToolResult("42")
    (step,) = [step for step in run.steps if step.title == "call double(x=21)"]
    assert step.text == "42"
    assert step.seconds is not None


@asynchronous
async def test_denied() -> None:
    run = Run("r")
    gateway = Gateway(offering(double), run)
    gateway.ask("double", x=21)
    await decide(run, allow=False)
    assert await gateway.answer() == ToolResult("double was not called: the user denied it", failed=True)


@asynchronous
async def test_nobody_decides() -> None:
    run = Run("r")
    gateway = Gateway(offering(double, timeout=0.1), run)
    gateway.ask("double", seconds=1.2, x=21)
    assert "nobody allowed it within" in (await gateway.answer()).text
    assert not run.approvals.pending
    assert "expired" in [step.title for step in run.steps]


@asynchronous
async def test_no_cell_to_ask_in() -> None:
    gateway = Gateway(offering(double))
    gateway.ask("double", x=21)
    assert "no cell of the notebook is at work" in (await gateway.answer()).text


@asynchronous
async def test_wrong_arguments_and_names_are_told_without_asking() -> None:
    run = Run("r")
    gateway = Gateway(offering(double), run)
    gateway.ask("double", x="three")
    assert "double was not called: x: Input should be a valid integer" in (await gateway.answer()).text
    gateway.ask("triple", id="2")
    assert "offers no function 'triple'; it offers:\n- double {" in (await gateway.answer("2")).text
    gateway.ask("", id="3")
    assert (await gateway.answer("3")).text.startswith("the function has to be named; it offers:\n- double")
    assert not run.approvals.pending


@asynchronous
async def test_long_and_secret_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "a-very-secret-value-indeed")
    run = Run("r")
    gateway = Gateway(offering(double), run)
    gateway.ask("double", x=1, words="a-very-secret-value-indeed " + "y" * 10_000)
    await soon(lambda: run.approvals.pending, "the question")
    command = run.approvals.pending[0].command
    assert "a-very-secret" not in command
    assert "more characters" in command
    assert len(command) < 1000
    await decide(run, allow=False)
    await gateway.answer()


@asynchronous
async def test_asked_twice_it_runs_once() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def slow() -> str:
        begun.append(1)
        go_on.wait(60)
        return "done"

    gateway = Gateway(offering(slow, approve=False), Run("r"))
    gateway.ask("slow")
    gateway.ask("slow")
    await soon(lambda: begun, "the call")
    go_on.set()
    assert await gateway.answer() == ToolResult("done")
    await soon(lambda: not len(gateway.calls), "its end")
    gateway.ask("slow")
    await soon(lambda: len(gateway.answers["1"]) == 2, "the answer again")
    assert (begun, gateway.answers["1"][0]) == ([1], gateway.answers["1"][1])


@asynchronous
async def test_a_time_limit_stops_a_coroutine_function() -> None:
    begun, stopped = threading.Event(), threading.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    gateway = Gateway(offering(endless, approve=False, timeout=0.1))
    gateway.ask("endless")
    assert (await gateway.answer()).text == "endless did not end within its 0.1 s; it was stopped"
    assert not begun.is_set() or await asyncio.to_thread(stopped.wait, 60), "what has begun is stopped"


def test_what_is_stopped_before_its_thread_has_begun_never_begins() -> None:
    called: list[int] = []

    async def act() -> None:
        called.append(1)

    place = _Place()
    place._stop()
    assert place._on_loop(act).failed
    assert not called


@asynchronous
async def test_a_plain_function_goes_on_behind_its_time_limit() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def endless() -> None:
        go_on.wait(60)
        ended.set()

    gateway = Gateway(offering(endless, approve=False, timeout=0.1))
    gateway.ask("endless")
    assert "it goes on in the notebook" in (await gateway.answer()).text
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 60)


@asynchronous
async def test_it_runs_in_a_thread_of_its_own_in_the_cell_that_asked() -> None:
    token = cell.set("this cell")
    run = Run("r")
    cell.reset(token)
    seen: list[tuple[str, str]] = []

    async def look() -> None:
        seen.append((cell.get(), threading.current_thread().name))

    gateway = Gateway(offering(look, approve=False), run)
    gateway.ask("look")
    await gateway.answer()
    assert seen == [("this cell", "openclaw tool look")]


@pytest.mark.parametrize("how", ["cut", "withdraw", "stop"])
@asynchronous
async def test_what_nobody_waits_for_does_not_begin(how: str) -> None:
    run = Run("r")
    called: list[int] = []

    def act() -> None:
        called.append(1)

    gateway = Gateway(offering(act), run)
    gateway.ask("act")
    await soon(lambda: run.approvals.pending, "the question")
    match how:
        case "cut":
            gateway.calls.cut()
        case "withdraw":
            gateway.calls.withdraw("1")
        case _:
            run.push(End(Status.STOPPED))
    await soon(lambda: not len(gateway.calls), "its end")
    assert not run.approvals.pending
    assert not called
    assert not gateway.answers


@asynchronous
async def test_what_has_begun_when_the_link_is_cut_is_shown_and_said() -> None:
    run, begun, go_on = Run("r"), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go_on.wait(60)
        return "done"

    gateway = Gateway(offering(slow, approve=False), run, why="the gateway no longer waited for it")
    gateway.ask("slow")
    await asyncio.to_thread(begun.wait, 60)
    gateway.calls.cut()
    go_on.set()
    await gateway.answer()
    await soon(lambda: not len(gateway.calls), "its end")
    assert run.steps[-1].text == "done\n\n(the gateway no longer waited for it)"
