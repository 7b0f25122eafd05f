"""Functions on offer in a real kernel: called by a gateway's assistant, allowed or denied by the view's buttons."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import serve

from tests.node.test_node import Owned

from .conftest import INSTALLED, Kernel
from .test_approvals import button, on_asked

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

OFFER = """
from openclaw_nb import offer
@offer
def double(x: int) -> int:
    "Twice x."
    print("doubling")
    return 2 * x
"""


class Calling(Owned):
    """Its assistant calls `double` for every message, and answers with what came of that."""

    def __init__(self) -> None:
        super().__init__(4)
        self.loop = asyncio.get_running_loop()

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "chat.send":
            self.loop.create_task(self._begin(params["idempotencyKey"]))
        elif method == "node.invoke.result":
            self.loop.create_task(self.say(params["id"], f"it said {params['payload']['content'][0]['text']}", "final"))
        return super().answer(method, params)

    async def _begin(self, key: str) -> None:
        await asyncio.sleep(0.05)
        await self.call("double", id=key, x=21)


@pytest.fixture
def url(kernel: Kernel, tmp_path: Path) -> Iterator[str]:
    """A gateway in a thread of its own, which the notebook is connected to, and knows what that offers."""
    there, address = threading.Event(), []
    gateways: list[Calling] = []

    async def run() -> None:
        gateway = Calling()
        async with serve(gateway.serve, "127.0.0.1", 0, compression=None) as server:
            gateways.append(gateway)
            address.append(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            there.set()
            while not stop.is_set():  # noqa: ASYNC110 - it is set in another thread
                await asyncio.sleep(0.05)

    stop = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert there.wait(60)
    kernel.run(f"%load_ext openclaw_nb\nimport os; os.environ.update(CALLING='t', XDG_DATA_HOME={str(tmp_path)!r})")
    assert kernel.run(f"%openclaw connect {address[0]} --token-env CALLING").status == "ok"
    assert kernel.run(OFFER).status == "ok"
    end = time.monotonic() + 60
    while gateways[0].tools != ["double"]:
        assert time.monotonic() < end, gateways[0].tools
        kernel.run("import time; time.sleep(0.05)")
    yield address[0]
    kernel.run("offer.withdraw()")
    assert kernel.run("%openclaw connect agent://local").status == "ok"
    stop.set()
    thread.join()


@pytest.mark.parametrize(("kind", "answer"), [("allow", "it said 42"), ("deny", "it said double was not called")])
def test_a_call_and_a_button(kernel: Kernel, url: str, kind: str, answer: str) -> None:
    reply = kernel.run("%%openclaw\nplease", on_message=on_asked(button(kernel, kind)))
    assert reply.status == "ok"
    (shown,) = reply.displays()
    assert answer in shown["text/plain"]
    assert "call double(x=21)" in shown["text/html"]
    assert ("doubling" in reply.text) is (kind == "allow"), "what it prints goes to the cell that asked"
    (listed,) = kernel.run("%openclaw offers").displays()
    assert "offers double" in listed["text/plain"]
