"""HomeLoop: what is done on it from another loop, and what is said where there is none."""

from __future__ import annotations

import asyncio
import threading

import pytest

from openclaw_nb.client.home_loop import HomeLoop
from openclaw_nb.errors import ConnectionLost


async def where() -> int:
    return threading.get_ident()


def test_none_at_first() -> None:
    home = HomeLoop()
    assert not home.call(print)
    assert not home.is_running
    assert not home.is_here
    with pytest.raises(ConnectionLost, match="this client is not connected"):
        asyncio.run(home.do(where()))


def test_from_another_thread_and_after_its_end() -> None:
    home, loop = HomeLoop(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loop.call_soon_threadsafe(home.settle)
    assert asyncio.run(asyncio.wait_for(asyncio.to_thread(lambda: None), 60)) is None
    while not home.is_running:
        pass
    assert not home.is_here
    assert asyncio.run(home.do(where())) == thread.ident == home.thread
    called = threading.Event()
    assert home.call(called.set)
    assert called.wait(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    with pytest.raises(ConnectionLost, match="the event loop this client was connected on has ended"):
        asyncio.run(home.do(where()))
    loop.close()
    assert not home.call(called.set)


def test_on_its_own_thread() -> None:
    async def work() -> int:
        home = HomeLoop()
        home.settle()
        assert home.is_here
        return await home.do(where())

    assert asyncio.run(work()) == threading.get_ident()
