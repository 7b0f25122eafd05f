"""Runtime: one loop thread, started on first use and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from openclaw_nb import Runtime
from openclaw_nb.engine import AgentSpec
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.models.function import FunctionModel


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.shared()
    yield runtime
    runtime.close()


def test_it_is_one(runtime: Runtime) -> None:
    assert Runtime.shared() is runtime
    assert Runtime.running() is runtime
    assert runtime.client() is runtime.client("agent://local")


def test_nothing_is_left_after_close() -> None:
    before = set(threading.enumerate())
    runtime = Runtime.shared()
    runtime.client().send("hello").result(60)
    url, _ = runtime.gateway_address()
    runtime.close()
    assert set(threading.enumerate()) == before
    assert Runtime.running() is None
    ours = psutil.Process().net_connections("inet")  # another process may have that port by now
    assert int(url.rpartition(":")[2]) not in {one.laddr.port for one in ours if one.status == psutil.CONN_LISTEN}
    runtime.close()  # a second time is nothing


def test_closing_ends_runs_at_work() -> None:
    closed = threading.Event()

    async def endless(prompt: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "on and "
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    runtime = Runtime.shared()
    agent = runtime.register(AgentSpec("endless", FunctionModel(endless)))
    run = runtime.client().send("go", agent=agent)
    assert next(iter(run)).startswith("on and ")  # what there is by then, which may be more
    runtime.close()
    with pytest.raises(RunError, match="closed"):
        run.result(30)
    assert closed.wait(30)


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "ws://127.0.0.1:9")
    monkeypatch.setenv("OPENCLAW_MODEL", "offline:0")
    runtime = Runtime.shared()
    try:
        assert (runtime.uri, runtime.model) == ("ws://127.0.0.1:9", "offline:0")
        with pytest.raises(RunError, match=r"no gateway at ws://127\.0\.0\.1:9: connection refused"):
            runtime.client().send("hello").result(60)
        assert runtime.client("agent://local").send("hello").result(60).model == "offline:0"
    finally:
        runtime.close()


def test_a_bad_address_is_refused_where_it_is_given(runtime: Runtime) -> None:
    with pytest.raises(ConfigError, match="would send the token in clear; use wss"):
        runtime.client("ws://example.org")


def test_models_of_the_notebook_by_name(runtime: Runtime) -> None:
    async def mine(prompt: str) -> AsyncIterator[str]:
        yield prompt.upper()

    runtime.namespace = {"mine": mine}
    assert runtime.client().send("hello", model="mine").result(60) == "HELLO"


def test_a_forked_child_gets_a_runtime_of_its_own(runtime: Runtime) -> None:
    runtime.client().send("hello").result(60)
    child = os.fork()
    if child == 0:
        fresh = Runtime.shared()
        answer = fresh.client().send("what is 2+3?").result(60)
        os._exit(0 if fresh is not runtime and "5" in answer else 1)
    assert os.waitpid(child, 0)[1] == 0
