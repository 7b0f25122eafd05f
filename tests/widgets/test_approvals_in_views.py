"""Approvals in live views: what a page is told of them, what it may say, and that nothing else decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from openclaw_nb.approval_words import LONGEST
from openclaw_nb.events import Approval, Delta, State, Status
from openclaw_nb.widgets.stream import StreamView

from .crew import Crew
from .streams import Feeder, Page, VirtualLoop, timed_page

pytestmark = pytest.mark.usefixtures("shown")

ECHO = Approval("a1", "exec wants to run", "echo \x1b[8mhi", "in /tmp", expires=1800)


@pytest.fixture
def page(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    yield from timed_page(loop.time, monkeypatch)


class Asking:
    """A view of a run that asks, and what was decided."""

    def __init__(self, loop: VirtualLoop, page: Page, approval: Approval = ECHO) -> None:
        self.page = page
        self.feeder = Feeder(loop)
        self.run = self.feeder.run
        self.view = StreamView(self.run)
        self.id = self.view.model_id
        self.decided: list[bool] = []

        async def ask() -> None:
            self.run.push(Delta(0, "x" * 1000, 1))
            self.run.approvals.ask(approval, self.decided.append)
            await asyncio.sleep(1)

        self.feeder.do(ask)

    def say(self, **content: Any) -> None:
        self.page.say(self.view, content)
        self.feeder.do(lambda: asyncio.sleep(1))

    @property
    def told(self) -> list[Any]:
        """The approvals in each message that has them."""
        return [news["approvals"] for news in self.page.custom(self.id, "state")]

    def end(self, status: Status = Status.DONE) -> None:
        self.feeder.end(self.view, status)


@pytest.fixture
def asking(loop: VirtualLoop, page: Page) -> Iterator[Asking]:
    asking = Asking(loop, page)
    yield asking
    if not asking.run.done():
        asking.end()


def test_a_page_is_told_all_of_it_with_nothing_hidden(asking: Asking) -> None:
    (asked,) = asking.told[-1]
    assert asked == {
        "id": "a1", "title": "exec wants to run", "command": "echo ⟨ESC⟩[8mhi", "details": "in /tmp", "more": 0,
        "left": asked["left"], "chosen": None,
    }  # fmt: skip
    assert 1790 < asked["left"] <= 1800
    assert asking.page.custom(asking.id, "state")[-1]["words"] == "waiting for your approval"
    assert asking.view.get_state("approvals")["approvals"][0]["id"] == "a1", "a page that is opened again asks for it"


def test_the_time_that_goes_by_is_no_news(asking: Asking) -> None:
    before = len(asking.told)
    asking.feeder.do(lambda: asyncio.sleep(10))
    assert len(asking.told) == before


@pytest.mark.parametrize(("kind", "allow"), [("allow", True), ("deny", False)])
def test_a_page_decides_once(asking: Asking, kind: str, allow: bool) -> None:
    asking.say(kind=kind, id="a1")
    assert [one["chosen"] for one in asking.told[-1]] == [allow]
    for again in ("allow", "deny"):
        asking.say(kind=again, id="a1")
    assert asking.decided == [allow]


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "allow"},
        {"kind": "allow", "id": 1},
        {"kind": "allow", "id": None},
        {"kind": "allow", "id": ["a1"]},
        {"kind": "allow", "id": "a1", "command": "rm -rf ~"},
        {"kind": "allow-once", "id": "a1"},
        {"kind": "Allow", "id": "a1"},
        {"kind": ["allow"], "id": "a1"},
        {"kind": "approve", "id": "a1", "allow": True},
    ],
    ids=str,
)
def test_nothing_else_decides(asking: Asking, content: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "openclaw_nb")
    asking.say(**content)
    assert asking.decided == []
    assert "does not know" in caplog.text


@pytest.mark.parametrize("id", ["", "a", "a2", "A1", "a1 ", "x" * 1_000_000])
def test_only_what_waits_is_decided_and_the_page_is_told_what_is_so(asking: Asking, id: str) -> None:
    before = len(asking.told)
    asking.say(kind="allow", id=id)
    assert asking.decided == []
    assert len(asking.told) == before + 1
    assert asking.told[-1][0]["chosen"] is None


def test_what_no_page_shows_whole_is_not_allowed_by_one(loop: VirtualLoop, page: Page) -> None:
    asking = Asking(loop, page, Approval("a1", "t", "x" * (LONGEST + 7)))
    assert [(len(one["command"]), one["more"]) for one in asking.told[-1]] == [(LONGEST, 7)]
    asking.say(kind="allow", id="a1")
    assert asking.decided == []
    asking.say(kind="deny", id="a1")
    assert asking.decided == [False]
    asking.end()


def test_a_long_command_is_not_sent_with_every_word(loop: VirtualLoop, page: Page) -> None:
    feeder = Feeder(loop)
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.run.approvals.ask(Approval("a1", "t", "x" * 100_000), lambda allow: None)
        for _ in range(40):
            feeder.text("word ")
            await asyncio.sleep(0.1)

    feeder.do(feed)
    whole = [data for data in page.of(view) if "x" * 100_000 in str(data)]
    assert 1 <= len(whole) <= 4  # the state of a view that nobody has answered, at 2 s and 4 s, and the news
    feeder.end(view)


def test_settled_elsewhere_it_is_a_step_and_asked_no_more(asking: Asking) -> None:
    async def settle() -> None:
        asking.run.approvals.settle("a1", "deny", "cli")
        await asyncio.sleep(1)

    asking.feeder.do(settle)
    assert asking.told[-1] == []
    (step,) = asking.page.custom(asking.id, "step")
    assert (step["key"], step["title"], step["text"]) == ("approval:a1", "denied elsewhere", "echo ⟨ESC⟩[8mhi")
    asking.say(kind="allow", id="a1")
    assert asking.decided == []


def test_asked_again_a_page_may_decide_again(asking: Asking) -> None:
    async def again() -> None:
        asking.run.approvals.again("a1")
        await asyncio.sleep(1)

    asking.say(kind="allow", id="a1")
    asking.feeder.do(again)
    assert asking.told[-1][0]["chosen"] is None
    asking.say(kind="deny", id="a1")
    assert asking.decided == [True, False]


def test_a_failing_way_to_decide_is_logged_and_open_again(
    loop: VirtualLoop, page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    asking = Asking(loop, page, ECHO)
    asking.decided = None  # type: ignore[assignment]

    def fail(allow: bool) -> None:
        raise RuntimeError("the loop is closed")

    async def ask() -> None:
        asking.run.approvals.ask(Approval("a2", "t", "ls"), fail)
        await asyncio.sleep(1)

    asking.feeder.do(ask)
    asking.say(kind="allow", id="a2")
    assert "the loop is closed" in caplog.text
    assert [one["chosen"] for one in asking.told[-1]] == [None, None]
    asking.end()


def test_a_cut_link_is_said_before_what_waits(asking: Asking) -> None:
    async def cut() -> None:
        asking.run.push(State(Status.RECONNECTING, "reconnecting, attempt 1 of 5"))
        await asyncio.sleep(1)

    asking.feeder.do(cut)
    assert asking.page.custom(asking.id, "state")[-1]["words"] == "reconnecting, attempt 1 of 5"


def test_a_run_that_is_stopped_while_it_waits(asking: Asking) -> None:
    view, comm = asking.view, asking.view.comm
    asking.run.approvals.end()
    asking.end(Status.STOPPED)
    view.comm = comm
    asking.page.say(view, {"kind": "allow", "id": "a1"})
    view.comm = None
    assert asking.decided == []
    assert asking.run.result(0).steps[-1].title == "expired"


# -- lanes -----------------------------------------------------------------------------------------


def test_a_lane_asks_and_is_answered(loop: VirtualLoop, page: Page) -> None:
    crew = Crew(loop, "coder", "tester")
    view, decided = crew.view(), list[tuple[str, bool]]()
    id = view.model_id

    async def ask() -> None:
        for name, feeder in zip(("coder", "tester"), crew.feeders, strict=True):
            feeder.text("x" * 2000)
            approval = Approval("a1", "exec wants to run", f"echo {name}")
            feeder.run.approvals.ask(approval, lambda allow, name=name: decided.append((name, allow)))
        await asyncio.sleep(1)

    crew.do(ask)
    assert crew.work.lanes[1].words == "waiting for your approval"
    for content in (
        {"kind": "allow", "id": "a1"},
        {"kind": "allow", "lane": 2, "id": "a1"},
        {"kind": "allow", "lane": -1, "id": "a1"},
        {"kind": "allow", "lane": True, "id": "a1"},
        {"kind": "allow", "lane": 1, "id": 1},
        {"kind": "allow", "lane": 1, "id": "a1", "more": 1},
    ):
        page.say(view, content)
    crew.do(lambda: asyncio.sleep(1))
    assert decided == []
    page.say(view, {"kind": "allow", "lane": 1, "id": "a1"})
    page.say(view, {"kind": "deny", "lane": 0, "id": "a1"})
    crew.do(lambda: asyncio.sleep(1))
    assert decided == [("tester", True), ("coder", False)]
    told = [news for message in page.custom(id, "lanes") for lane in message["lanes"] for news in lane["news"]]
    chosen = [one["chosen"] for news in told if news["kind"] == "state" for one in news["approvals"]]
    assert {True, False} <= set(chosen)
    crew.end(view)
