"""Two runs on one session through a real gateway: one after the other, or one beside the other on a branch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Engine
from openclaw_nb.errors import OpenClawError, SnapshotError
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from tests.faults.proxy import FaultProxy
from tests.served import Served
from tests.spine import asynchronous, soon


class Held:
    """A Model that answers each question with its own words, and waits in the middle of those that say so."""

    name = "held"

    def __init__(self) -> None:
        self.asked: list[ModelRequest] = []
        self.go = asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        yield TextDelta(f"to {request.prompt}: ")
        await asyncio.sleep(0)
        if "wait" in request.prompt:
            await self.go.wait()
        if "fail" in request.prompt:
            raise ValueError("as asked")
        yield TextDelta("done")


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Gateway, OpenClawClient, Held]]:
    """As in a kernel: sessions over a store of their own."""
    model = Held()
    with SnapshotStore() as store:
        engine = Engine(Memory(store, fresh=True), model)
        async with Gateway(engine=engine) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            yield gateway, client, model


def told(gateway: Gateway, session: str = "main") -> list[str]:
    return [message["content"] for message in gateway.engine.history(session)]


def pair(question: str, answer: str = "done") -> list[str]:
    return [question, f"to {question}: {answer}"]


# -- one after the other -----------------------------------------------------------------------------


@asynchronous
async def test_the_second_is_told_the_answer_of_the_first() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait one")
        await soon(lambda: first.text)
        second = client.send("two")
        await asyncio.sleep(0.02)
        assert second.text == ""
        assert len(model.asked) == 1
        assert told(served) == []  # nothing of a run is in the session before its end
        model.go.set()
        await first
        assert (await second).text == "to two: done"
        assert [m["content"] for m in model.asked[1].messages] == [*pair("wait one"), "two"]
        assert told(served) == [*pair("wait one"), *pair("two")]


@asynchronous
async def test_fifty_at_once_are_served_in_order_and_complete() -> None:
    async with gateway() as (served, client, model):
        runs = [client.send(f"q{n}") for n in range(50)]
        results = [await run for run in runs]
        assert [result.text for result in results] == [f"to q{n}: done" for n in range(50)]
        assert told(served) == [text for n in range(50) for text in pair(f"q{n}")]
        assert [len(request.messages) for request in model.asked] == list(range(1, 100, 2))
        assert not served.engine.memory.lanes.busy("main")


@asynchronous
async def test_a_waiting_one_is_stopped() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait one")
        await soon(lambda: first.text)
        second, third = client.send("two"), client.send("three")
        await asyncio.sleep(0.02)
        second.cancel()
        assert (await second).status == "stopped"
        model.go.set()
        await first
        await third
        assert told(served) == [*pair("wait one"), *pair("three")]
        assert [request.prompt for request in model.asked] == ["wait one", "three"]


@asynchronous
async def test_a_failing_first_lets_the_second_work() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait and fail")
        await soon(lambda: first.text)
        second = client.send("two")
        model.go.set()
        with pytest.raises(OpenClawError, match="as asked"):
            await first
        await second
        assert told(served) == [*pair("wait and fail", ""), *pair("two")]


@asynchronous
async def test_other_sessions_do_not_wait() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait one")
        await soon(lambda: first.text)
        await client.send("two", session="other")
        assert told(served, "other") == pair("two")
        model.go.set()
        await first


@asynchronous
async def test_a_restore_while_a_run_is_at_work_is_refused() -> None:
    async with gateway() as (served, client, model):
        memory = served.engine.memory
        await client.send("one")
        kept = memory.find(None)
        first, second = client.send("wait two"), client.send("three")
        await soon(lambda: first.text)
        for snapshot in (kept, None):
            with pytest.raises(SnapshotError, match="a run is at work in session 'main'"):
                memory.restore("main", snapshot)
        assert memory.restore("aside", kept) is None
        model.go.set()
        await first
        await second
        assert memory.restore("main", kept) is None
        assert told(served) == told(served, "aside") == pair("one")


# -- beside each other -------------------------------------------------------------------------------


@asynchronous
async def test_a_branch_begins_from_the_state_at_that_moment() -> None:
    async with gateway() as (served, client, model):
        await client.send("zero")
        first = client.send("wait one")
        await soon(lambda: first.text)
        branches = []
        for n in (2, 3):  # one after the other, as who ends first has the first name
            branches.append(run := client.send(f"beside {n}", busy="branch"))
            await run
        assert [run.session for run in branches] == ["main-2", "main-3"]
        assert told(served) == pair("zero")
        model.go.set()
        await first
        assert told(served) == [*pair("zero"), *pair("wait one")]
        assert told(served, "main-2") == [*pair("zero"), *pair("beside 2")]
        assert told(served, "main-3") == [*pair("zero"), *pair("beside 3")]
        more = client.send("more", session="main-2")
        await more
        assert told(served, "main-2") == [*pair("zero"), *pair("beside 2"), *pair("more")]


@asynchronous
async def test_where_nobody_works_none_is_made() -> None:
    async with gateway() as (served, client, _):
        run = client.send("one", busy="branch")
        await run
        assert run.session == "main"
        assert set(served.engine.memory.sessions()) == {"main"}


@asynchronous
async def test_a_branch_of_a_session_that_has_not_begun() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait one")
        await soon(lambda: first.text)
        await client.send("beside", busy="branch")
        assert told(served, "main-2") == pair("beside")
        model.go.set()
        await first
        assert told(served) == pair("wait one")


@asynchronous
async def test_a_branched_run_is_stopped() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait one")
        second = client.send("wait beside", busy="branch")
        await soon(lambda: first.text and second.text)
        second.cancel()
        assert (await second).status == "stopped"
        assert told(served, "main-2") == pair("wait beside", "")
        assert first.status != "stopped"
        model.go.set()
        await first
        assert told(served) == pair("wait one")


@asynchronous
async def test_a_repeated_request_is_the_same_branch() -> None:
    async with gateway() as (served, client, model):
        first = client.send("wait one")
        second = client.send("wait beside", busy="branch", idempotency_key="k")
        await soon(lambda: first.text and second.text)
        async with OpenClawClient(token=served.token) as other:
            await other.connect(served.url)
            again = other.send("wait beside", busy="branch", idempotency_key="k")
            await soon(lambda: again.text)
            model.go.set()
            assert (await again).text == (await second).text == "to wait beside: done"
            await first
            after = OpenClawClient(token=served.token)
            async with after:
                await after.connect(served.url)
                assert (await after.send("wait beside", busy="branch", idempotency_key="k")).text == second.text
        assert sorted(request.prompt for request in model.asked) == ["wait beside", "wait one"]
        assert set(served.engine.memory.sessions()) == {"main", "main-2"}


@asynchronous
async def test_a_branched_run_outlives_a_cut_connection() -> None:
    async with gateway() as (served, direct, model):
        first = direct.send("wait one")
        await soon(lambda: first.text)
        async with FaultProxy(served.port) as proxy, OpenClawClient(token=served.token, reconnect_delay=0.01) as client:
            await client.connect(proxy.url)
            run = client.send("wait beside", busy="branch")
            await soon(lambda: run.text)
            proxy.cut()
            await asyncio.sleep(0.02)
            model.go.set()
            assert (await run).text == "to wait beside: done"
        await first
        assert told(served, "main-2") == pair("wait beside")
        assert [request.prompt for request in model.asked] == ["wait one", "wait beside"]


@asynchronous
async def test_a_base_is_where_a_new_session_begins() -> None:
    async with gateway() as (served, client, _):
        await client.send("one")
        kept = served.engine.memory.find(None)
        await client.send("two")
        await client.send("a", session="from-id", base=kept.id[:8])
        await client.send("b", session="from-session", base="main")
        assert told(served, "from-id") == [*pair("one"), *pair("a")]
        assert told(served, "from-session") == [*pair("one"), *pair("two"), *pair("b")]
        with pytest.raises(OpenClawError, match="has begun already"):
            await client.send("c", session="from-id", base="main")
        with pytest.raises(OpenClawError, match="no snapshot"):
            await client.send("d", session="new", base="nowhere")
        assert told(served) == [*pair("one"), *pair("two")]


# -- several processes on one file -------------------------------------------------------------------


@asynchronous
async def test_gateways_of_two_processes_share_one_store(tmp_path: Path) -> None:
    """What is said at one is known at the other; what both say at once is kept in whole pairs."""
    options = ("offline:0", "--store", str(tmp_path / "s.db"))
    with Served(tmp_path, *options) as one, Served(tmp_path, *options) as other:
        token = one.token_file.read_text(encoding="utf-8").split()[0]
        async with OpenClawClient(token=token) as a, OpenClawClient(token=token) as b:
            await a.connect(one.url)
            await b.connect(other.url)
            await a.send("count to 2")
            history = await b.request("chat.history", {"sessionKey": "main"})
            assert [message["content"][0]["text"] for message in history["messages"]] == ["count to 2", "1, 2"]
            runs = [client.send(f"count to {n}") for n in range(3, 9) for client in (a, b)]
            for run in runs:
                await run
    with SnapshotStore(tmp_path / "s.db") as store:
        messages = store.sessions()["main"].state["messages"]
        assert store.verify() == []
    for asked, answered in zip(messages[::2], messages[1::2], strict=True):
        last = int(asked["content"].removeprefix("count to "))
        assert answered["content"] == ", ".join(map(str, range(1, last + 1)))
    assert sorted(message["content"] for message in messages[2::2]) == sorted(
        2 * [f"count to {n}" for n in range(3, 9)]
    )
