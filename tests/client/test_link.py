"""Link: when it comes back and how soon, what ends it, and what its end means."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client.link import FRUITLESS, Link, Retry
from openclaw_nb.client.route import Route
from openclaw_nb.errors import ConnectionLost, OpenClawError, ProtocolError
from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.handshake import Hello
from openclaw_nb.protocol.happened import Happened, Reply
from openclaw_nb.protocol.session import ClientSession
from tests.cluster.daemons import free_port
from tests.faults.kinds import GATEWAY, CutAfter, CutAtByte, How
from tests.faults.proxy import FaultProxy
from tests.spine import asynchronous, soon


class Diary:
    """Writes down what a link tells."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fault: Exception | None = None

    def happened(self, event: Happened) -> None:
        self.told.append(type(event).__name__)
        if self.fault is not None:
            raise self.fault

    def cut(self, error: OpenClawError) -> None:
        self.told.append("cut")

    def retrying(self, attempt: int) -> None:
        self.told.append(f"retrying {attempt}")

    def given_up(self, error: OpenClawError) -> None:
        self.told.append(f"given up: {error}")


def dial(url: str, token: str | None, diary: Diary, retry: Retry | None = None) -> Link:
    session = ClientSession(token=token, version="1", platform="linux")
    return Link(Route.single("agent://x", url), session, retry or Retry(delay=0.01), diary)


def test_the_first_attempt_is_at_once_and_the_rest_double_with_jitter() -> None:
    retry = Retry(delay=2.0)
    for _ in range(100):
        assert retry.wait(1) == 0
        for attempt, middle in ((2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0)):
            assert middle / 2 <= retry.wait(attempt) <= middle
    assert len({retry.wait(2) for _ in range(20)}) > 1


@asynchronous
async def test_from_dialling_to_the_close() -> None:
    diary = Diary()
    async with Gateway() as gateway:
        link = dial(gateway.url, gateway.token, diary)
        assert not link.up
        replies: list[Reply] = []
        link.post("health", {}, replies.append)
        assert isinstance(replies.pop().error, ConnectionLost), "who is not let in sends nothing"
        assert isinstance(await link.hello(), Hello)
        assert link.up
        link.post("health", {}, replies.append)
        link.post("health", {})
        await soon(lambda: replies)
        assert replies[0].payload["ok"]
        link.post("health", {}, replies.append)
        await link.close()
        assert link.ended
        assert not link.up
        assert isinstance(replies[-1].error, ConnectionLost), "nobody waits for a reply that will not come"
        await link.close()
        link.post("health", {}, replies.append)
        assert isinstance(replies[-1].error, ConnectionLost)
        with pytest.raises(ConnectionLost, match="agent://x was closed"):
            await link.hello()
    assert diary.told == ["Hello", "given up: the link to agent://x was closed"]


@asynchronous
async def test_nothing_is_said_before_the_handshake() -> None:
    said: list[str | bytes] = []

    async def silent(ws: ServerConnection) -> None:
        async for message in ws:
            said.append(message)

    async with serve(silent, "127.0.0.1", 0) as server:
        link = dial(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", None, Diary())
        await soon(lambda: link._ws)
        replies: list[Reply] = []
        link.post("health", {}, replies.append)
        assert isinstance(replies[0].error, ConnectionLost)
        await link._ws.ping()  # type: ignore[union-attr]
        await link.close()
    assert said == []


@asynchronous
async def test_it_comes_back_until_its_attempts_are_used_up() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        link = dial(proxy.url, gateway.token, diary, Retry(attempts=3, delay=0.01))
        await link.hello()
        proxy.cut()
        await soon(lambda: diary.told.count("Hello") == 2)
        proxy.upstream = 9
        proxy.cut()
        await soon(lambda: link.ended)
        with pytest.raises(ConnectionLost, match="after 3 attempts"):
            await link.hello()
    assert diary.told == [
        "Hello", "cut", "retrying 1", "Hello", "cut", "retrying 1", "retrying 2", "retrying 3",
        "given up: no gateway at agent://x: it hung up, after 3 attempts to come back",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1])
@asynchronous
async def test_a_first_connection_is_tried_once(count: int) -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        proxy.faults.append(CutAfter(count, "connect.challenge"))
        link = dial(proxy.url, gateway.token, diary)
        with pytest.raises(ConnectionLost):
            await link.hello()
        assert proxy.connections == 1
        assert len(diary.told) == 1


@asynchronous
async def test_on_loopback_it_comes_back_as_soon_as_the_port_opens() -> None:
    diary = Diary()
    first = Gateway("offline", "same", port=free_port())
    await first.start()
    link = dial(first.url, "same", diary, Retry(delay=60.0))
    await link.hello()
    await first.close()
    await soon(lambda: diary.told[-1] == "retrying 2")
    async with Gateway("offline", "same", port=first.port):
        await soon(lambda: link.up)
        assert diary.told == ["Hello", "Shutdown", "cut", "retrying 1", "retrying 2", "Hello"]
        await link.close()


@asynchronous
async def test_a_port_that_is_open_and_hangs_up_is_not_asked_faster() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        link = dial(proxy.url, gateway.token, diary, Retry(delay=60.0))
        await link.hello()
        proxy.faults.extend(CutAfter(0, "connect.challenge") for _ in range(9))
        proxy.cut()
        await soon(lambda: diary.told[-1] == "retrying 2")
        await asyncio.sleep(0.2)
        assert proxy.connections == 2
        await link.close()


@asynchronous
async def test_a_gateway_that_lets_in_and_hangs_up_is_not_asked_for_ever_at_once() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        proxy.faults.extend(CutAfter(1, "res") for _ in range(99))
        link = dial(proxy.url, gateway.token, diary, Retry(delay=60.0))
        await soon(lambda: diary.told.count("cut") == FRUITLESS + 1)
        await asyncio.sleep(0.2)
        assert proxy.connections == FRUITLESS + 1
        assert not link.ended
        await link.close()


@asynchronous
async def test_a_gateway_that_is_locked_is_left_alone_for_as_long_as_it_says() -> None:
    diary = Diary()

    async def locked(ws: ServerConnection) -> None:
        await ws.send('{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}')
        id = json.loads(await ws.recv())["id"]
        details = {"code": "AUTH_RATE_LIMITED", "retryAfterMs": 60_000}
        error = {"code": "INVALID_REQUEST", "message": "no", "details": details}
        await ws.send(json.dumps({"type": "res", "id": id, "ok": False, "error": error}))

    async with Gateway() as gateway, serve(locked, "127.0.0.1", 0) as door, FaultProxy(gateway.port) as proxy:
        link = dial(proxy.url, gateway.token, diary)
        await link.hello()
        proxy.upstream = door.sockets[0].getsockname()[1]
        proxy.cut()
        await soon(lambda: proxy.connections == 2)
        await asyncio.sleep(0.2)
        assert proxy.connections == 2
        assert not link.ended
        await link.close()
        with pytest.raises(ConnectionLost, match="too many wrong tokens"):
            await dial(proxy.url, gateway.token, diary).hello()


@asynchronous
async def test_without_auto_it_stays_down() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        link = dial(proxy.url, gateway.token, diary, Retry(auto=False))
        await link.hello()
        proxy.cut()
        await soon(lambda: link.ended)
    assert diary.told == ["Hello", "cut", "given up: the link to agent://x was cut"]


@asynchronous
async def test_asked_to_come_back() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        link = dial(proxy.url, gateway.token, diary, Retry(auto=False))
        await link.hello()
        for _ in range(3):
            link.again()
            link.again()
            assert not link._ready.done()
            await link.hello()
        proxy.cut()
        await soon(lambda: link.ended)
    assert diary.told.count("Hello") == 4


@asynchronous
async def test_asked_again_and_again_while_an_attempt_hangs() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        proxy.faults.append(CutAtByte(0, None, How.SILENCE, toward=GATEWAY))
        link = dial(proxy.url, gateway.token, diary)
        await soon(lambda: proxy.struck.total() == 1)
        for _ in range(9):  # also in those turns of the loop in which the attempt is just being given up
            link.again()
            await asyncio.sleep(0)
        await link.hello()
        await link.close()


@asynchronous
async def test_asked_to_come_back_while_it_comes_it_does_not_do_so_later() -> None:
    diary = Diary()
    async with Gateway() as gateway, FaultProxy(gateway.port) as proxy:
        link = dial(proxy.url, gateway.token, diary, Retry(auto=False))
        link.again()
        await link.hello()
        proxy.cut()
        await soon(lambda: link.ended)
    assert diary.told.count("Hello") == 1


@asynchronous
async def test_a_fault_of_its_user_ends_it_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    diary.fault = ZeroDivisionError("a fault of ours")
    async with Gateway() as gateway:
        link = dial(gateway.url, gateway.token, diary)
        with pytest.raises(ProtocolError, match="failed: ZeroDivisionError: a fault of ours"):
            await link.hello()
        assert link.ended
    assert "the link to agent://x failed" in caplog.text


@asynchronous
async def test_closed_before_its_first_step() -> None:
    diary = Diary()
    link = dial("ws://127.0.0.1:9", None, diary)
    waiting = asyncio.create_task(link.hello())
    await link.close()
    with pytest.raises(ConnectionLost, match="was closed"):
        await waiting
    assert diary.told == ["given up: the link to agent://x was closed"]


@asynchronous
async def test_a_message_that_is_too_big_is_not_asked_for_again_for_ever() -> None:
    diary = Diary()
    async with Gateway() as gateway:
        link = dial(gateway.url, gateway.token, diary)
        await link.hello()
        (connection,) = gateway._connections
        connection.send(b'"' + b"x" * 26_300_000 + b'"')
        await soon(lambda: link.ended)
    assert diary.told == ["Hello", "cut", "given up: a message on the link to agent://x was too big"]
