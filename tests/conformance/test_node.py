"""Functions of the notebook at real gateways: their models call them there, and each call is a person's to allow.

2026.9.6 offers them to its models as tools. 2026.3.1 has its models name them in a call of its tool `nodes`.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb import offer
from openclaw_nb.client import OpenClawClient
from openclaw_nb.node.node import Node, nodes
from openclaw_nb.run import Result, Run
from tests.conformance import install
from tests.conformance.gateways import RealGateway, serving
from tests.conformance.model import ModelProcess
from tests.conformance.users import Figure, session, user_of
from tests.spine import asynchronous

CONFIGURED = "2026.3.1"
"""What asks for a line in its configuration, and so gets a gateway of its own."""

PATIENCE = 240.0
"""Seconds that an answer may take where all else is at work too."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A computer that no gateway knows, for as long as this module runs."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.setattr("openclaw_nb.node.node.AGAIN", 2.0)
        yield folder


@pytest.fixture(scope="module", params=install.GATEWAYS)
def owned(
    request: pytest.FixtureRequest,
    home: Path,
    model: ModelProcess,
    gateways: dict[str, RealGateway],
    tmp_path_factory: pytest.TempPathFactory,
    request_figure: Figure,
) -> Iterator[RealGateway]:
    """Each of them, once its owner has run the command that the notebook named."""
    version = request.param
    if version != CONFIGURED:
        asyncio.run(have_allowed(gateways[version], request_figure))
        yield gateways[version]
        return
    folder = tmp_path_factory.mktemp("owned")
    with serving(version, install.node(), install.program(version), folder, model.url) as gateway:
        asyncio.run(have_allowed(gateway, request_figure))
        yield gateway


@pytest.fixture(scope="module")
def request_figure(pytestconfig: pytest.Config) -> Figure:
    """Of what happens once for a whole module."""
    return lambda case, words: print(f"{case}: {words}")


async def have_allowed(gateway: RealGateway, figure: Figure) -> None:
    @offer
    def analyse(x: int) -> str:
        """The analysis of x."""
        return f"analysed {x}"

    try:
        async with user_of(gateway) as client:
            await client.hello()
            node = nodes[client]
            await until(lambda: ": openclaw " in node.state, "what the owner has to do")
            command = shlex.split(node.state.partition(": openclaw ")[2])
            figure(f"what {gateway.version} asks of its owner", f"openclaw {shlex.join(command)}")
            done = await asyncio.to_thread(gateway.run, *command)
            assert done.returncode == 0, done.stderr
            await until(lambda: node.state == "offers analyse", lambda: f"the leave: {node.state}")
    finally:
        offer.withdraw()


async def until(condition: Callable[[], Any], what: Callable[[], str] | str) -> None:
    """Wait until it holds: a gateway is slow to start, and so are its programs."""
    for _ in range(12_000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what if isinstance(what, str) else what()} did not happen")


@pytest.fixture
def offered(owned: RealGateway) -> Iterator[None]:
    """What a test offers is withdrawn behind it."""
    yield
    offer.withdraw()


@asynccontextmanager
async def notebook(gateway: RealGateway) -> AsyncIterator[OpenClawClient]:
    """A client at a gateway that knows all that is on offer."""
    async with user_of(gateway) as client:
        node: Node = nodes[client]
        every = f"offers {', '.join(one.name for one in offer.all)}"
        await until(lambda: node.state == every, lambda: f"the offer: {node.state}")
        yield client


def ask(gateway: RealGateway, client: OpenClawClient, name: str, **arguments: Any) -> Run:
    """Have the model call a function."""
    if gateway.protocol > 3:
        call = f"tool_call {json.dumps({'id': name, 'args': arguments})}"
    else:
        told = json.dumps({"name": name, "arguments": arguments})
        how = {"action": "invoke", "node": "notebook", "invokeCommand": "notebook.call", "invokeParamsJson": told}
        call = f"nodes {json.dumps(how)}"
    return client.send(f"do it [call={call}]", session=session("node"))


async def decided(run: Run, allow: bool) -> Result:
    await until(lambda: run.approvals.pending, "the question")
    (asked,) = run.approvals.pending
    run.approvals.decide(asked.id, allow)
    return await asyncio.wait_for(run, PATIENCE)


@asynchronous
async def test_an_allowed_call_and_its_result(owned: RealGateway, offered: None, figure: Figure) -> None:
    calls: list[tuple[int, str]] = []

    @offer
    def analyse(x: int, mode: str = "fast") -> dict[str, Any]:
        """The analysis of x."""
        calls.append((x, threading.current_thread().name))
        return {"sum": x + 39}

    async with notebook(owned) as client:
        run = ask(owned, client, "analyse", x=3)
        await until(lambda: run.approvals.pending, "the question")
        (asked,) = run.approvals.pending
        assert (asked.title, asked.command) == ("call analyse", "analyse(x=3)")
        assert asked.expires is not None
        await asyncio.sleep(0.3)
        assert not calls, "nothing happens by itself"
        result = await decided(run, allow=True)
    assert [x for x, _ in calls] == [3]
    assert "openclaw tool" in calls[0][1], "not on the loop of the links"
    assert '"sum": 42' in result.replace("\\", "")
    (step,) = [step for step in result.steps if step.title == "call analyse(x=3)"]
    assert step.text == '{"sum": 42}'
    assert step.seconds is not None
    figure(f"a function called by the model of {owned.version}", f"{asked.command} -> {step.text}")


@asynchronous
async def test_a_denied_call(owned: RealGateway, offered: None) -> None:
    calls: list[int] = []

    @offer
    def analyse(x: int) -> None:
        """The analysis of x."""
        calls.append(x)

    async with notebook(owned) as client:
        result = await decided(ask(owned, client, "analyse", x=3), allow=False)
    assert "analyse was not called: the user denied it" in result
    assert not calls


@asynchronous
async def test_wrong_arguments_are_told_without_asking(owned: RealGateway, offered: None) -> None:
    @offer
    def analyse(x: int) -> None:
        """The analysis of x."""

    async with notebook(owned) as client:
        result = await asyncio.wait_for(ask(owned, client, "analyse", x="three"), PATIENCE)
    assert "analyse was not called: x: Input should be a valid integer" in result


@asynchronous
async def test_a_failure_and_a_coroutine_function(owned: RealGateway, offered: None) -> None:
    @offer(approve=False)
    def broken(x: int) -> None:
        """Breaks."""
        raise ValueError(f"no {x}")

    @offer(approve=False, name="later")
    async def slow(word: str) -> str:
        """Waits a little."""
        await asyncio.sleep(0.05)
        return f"later {word}"

    async with notebook(owned) as client:
        first, second = ask(owned, client, "broken", x=3), ask(owned, client, "later", word="on")
        assert "broken failed: ValueError: no 3" in await asyncio.wait_for(first, PATIENCE)
        assert "later on" in await asyncio.wait_for(second, PATIENCE)


@asynchronous
async def test_a_time_limit(owned: RealGateway, offered: None) -> None:
    stopped = threading.Event()

    @offer(timeout=0.5)
    async def endless() -> None:
        """Never ends."""
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with notebook(owned) as client:
        result = await decided(ask(owned, client, "endless"), allow=True)
    assert "endless did not end within its 0.5 s; it was stopped" in result
    assert stopped.wait(PATIENCE)


@asynchronous
async def test_offered_later_and_withdrawn(owned: RealGateway, offered: None) -> None:
    @offer(approve=False)
    def first() -> str:
        """The first."""
        return "one of them"

    async with notebook(owned) as client:

        @offer(approve=False)
        def second() -> str:
            """The second."""
            return "another of them"

        await until(lambda: nodes[client].state == "offers first, second", "both")
        assert "another of them" in await asyncio.wait_for(ask(owned, client, "second"), PATIENCE)
        offer.withdraw(second)
        await until(lambda: nodes[client].state == "offers first", "one")
        result = await asyncio.wait_for(ask(owned, client, "second"), PATIENCE)
        assert "another of them" not in result


@asynchronous
async def test_a_cut_while_it_runs(owned: RealGateway, offered: None, figure: Figure) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @offer(approve=False)
    def analyse(x: int) -> str:
        """The analysis of x."""
        begun.set()
        go_on.wait(PATIENCE)
        return f"analysed {x}"

    async with notebook(owned) as client:
        run = ask(owned, client, "analyse", x=3)
        await until(begun.is_set, "the call")
        assert client.beside is not None
        client.beside.again()
        result = await asyncio.wait_for(run, PATIENCE)
        assert "error" in result, "the gateway gives it up at once"
        assert "analysed 3" not in result
        go_on.set()
        run = ask(owned, client, "analyse", x=4)
        assert "analysed 4" in await asyncio.wait_for(run, PATIENCE), "and it is there again"
    figure(f"the link cut in a call at {owned.version}", f"its model is told: {shown(result)}")


@asynchronous
async def test_a_cut_while_it_is_asked_for(owned: RealGateway, offered: None) -> None:
    calls: list[int] = []

    @offer
    def analyse(x: int) -> None:
        """The analysis of x."""
        calls.append(x)

    async with notebook(owned) as client:
        run = ask(owned, client, "analyse", x=3)
        await until(lambda: run.approvals.pending, "the question")
        assert client.beside is not None
        client.beside.again()
        await asyncio.wait_for(run, PATIENCE)
        assert not run.approvals.pending
    assert not calls


def shown(result: str) -> str:
    """What the gateway says of it, without its warning that the words are not its own."""
    lines = result.replace("\\n", "\n").split("\n")
    return repr(next((line.strip() for line in lines if "node" in line or "worker" in line), result)[:200])
