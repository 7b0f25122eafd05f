"""Which executors there are, who shares one, and what is said where it cannot be."""

from __future__ import annotations

import asyncio
import builtins
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import distributed
import pytest

from openclaw_nb import OpenClawAgent, ThreadPool
from openclaw_nb.distributed.executor import Executor, differs, executor_of
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.run import Result
from openclaw_nb.version import __version__
from tests.distributed.clusters import Workers


async def brief(prompt: str) -> AsyncIterator[str]:
    yield "yes"


def test_says_what_it_is(workers: Workers) -> None:
    with ThreadPool(executor=workers.address) as pool:
        assert pool.executor is not None
        assert pool.executor.words == f"Dask at {workers.address}, 2 workers with 8 threads"
        assert repr(pool.executor) == f"<Executor Dask at {workers.address}>"


def test_a_client_is_shared_and_stays(workers: Workers) -> None:
    with distributed.Client(workers.address, set_as_default=False) as client:
        with ThreadPool(executor=client) as one:
            with ThreadPool(executor=client) as other:
                assert one.executor is other.executor
                executor = one.executor
            (result,) = one.execute(OpenClawAgent("brief", model=brief), "go").result(60).results.values()
            assert str(result) == "yes"
        assert client.status == "running"
        assert isinstance(executor, Executor)
        assert executor.users == 0
        with ThreadPool(executor=client) as again:
            assert again.executor is not executor
            (result,) = again.execute(OpenClawAgent("brief", model=brief), "go").result(60).results.values()
            assert isinstance(result, Result)


@pytest.mark.parametrize("what", ["", "dask", 3, "local:4", object])
def test_what_is_none(what: object) -> None:
    with pytest.raises(ConfigError, match="an executor is 'local', the address of a Dask scheduler as tcp://host:8786"):
        ThreadPool(executor=what)


def test_no_password_in_an_address() -> None:
    with pytest.raises(ConfigError) as caught:
        ThreadPool(executor="tcp://me:hunter22@127.0.0.1:1")
    assert "hunter22" not in str(caught.value)


def test_one_that_waits_elsewhere(workers: Workers) -> None:
    async def work() -> None:
        async with distributed.Client(workers.address, asynchronous=True, set_as_default=False) as client:
            with pytest.raises(ConfigError, match="asynchronous=True"):
                executor_of(client, 4)

    asyncio.run(work())


def test_one_that_is_closed(workers: Workers) -> None:
    with distributed.Client(workers.address, set_as_default=False) as client:
        pass
    with pytest.raises(ConfigError, match=r"^this Dask client is closed, and cannot send work; make another one$"):
        executor_of(client, 4)


def test_both_need_the_same() -> None:
    assert differs(__version__, ".".join(map(str, sys.version_info[:2]))) == ""
    assert differs("0.0.9", "3.11") == f"openclaw_nb 0.0.9, and here is {__version__}; both need the same"
    assert differs(__version__, "3.9").startswith("Python 3.9, and here is 3.")


def test_not_while_it_is_used(pool: ThreadPool, tmp_path: Path) -> None:
    go = tmp_path / "go"

    async def slow(prompt: str) -> AsyncIterator[str]:
        while not go.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        yield "so"

    work = pool.execute(OpenClawAgent("slow", model=slow), "go")
    with pytest.raises(ConfigError, match="agents of this pool are at work at Dask at tcp://"):
        pool.executor = None
    go.touch()
    work.result(60)
    pool.executor = None
    assert pool.executor is None
    (result,) = pool.execute(OpenClawAgent("slow", model=slow), "go").result(60).results.values()
    assert str(result) == "so"


def test_agents_at_workers_in_agents_at_workers(pool: ThreadPool, workers: Workers) -> None:
    address = workers.address

    def ask() -> str:
        """Ask others."""
        from openclaw_nb import ThreadPool

        with ThreadPool(executor=address):
            return "it was not refused"

    def ask_here() -> str:
        """Ask another one here."""
        from openclaw_nb import OpenClawAgent, Runtime, ThreadPool

        try:
            with ThreadPool() as inner:
                return str(inner.execute(OpenClawAgent("inner", model="offline"), "compute 6*7").result(60))
        finally:
            Runtime.shared().close()

    agent = OpenClawAgent("outer", model="offline", tools=[ask, ask_here])
    (result,) = pool.execute(agent, "use ask()", level=1).result(60).results.values()
    assert "ask failed: DeadlockError: this is a part of an agent at the worker tcp://" in str(result)
    assert "a ThreadPool() without an executor works here" in str(result)
    (result,) = pool.execute(agent, "use ask_here()", level=1).result(60).results.values()
    assert "42" in str(result)


def test_a_key_that_the_worker_has_not(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-only-here-0123456789")
    agent = OpenClawAgent("keyless", model="openai-chat:gpt-4o")
    (error,) = pool.execute(agent, "go", level=1).result(60).results.values()
    assert isinstance(error, RunError)
    assert error.code == "CONFIG"
    assert str(error).startswith("the worker at tcp://127.0.0.1:")
    assert "OPENAI_API_KEY" in str(error)
    assert "sk-only-here" not in str(error)


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *args: Any, **others: Any) -> Any:
        if name == "distributed":
            raise ModuleNotFoundError("No module named 'distributed'")
        return importing(name, *args, **others)

    for name in [one for one in sys.modules if one.startswith("openclaw_nb.distributed.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("openclaw_nb.distributed.executor")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError) as caught:
        ThreadPool(executor="local")
    words = "agents work elsewhere by Dask, which is not installed here: pip install 'openclaw_nb[distributed]'"
    assert str(caught.value) == words
