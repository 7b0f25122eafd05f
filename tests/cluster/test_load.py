"""The load generator: its counts are right at real instances, and it sees what a broken server does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.bench import loads
from tests.bench.instances import Instance, tokens_of

Figure = Callable[[str, str], None]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    try:
        loads.generator()
    except loads.NoCompiler as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def instances(compiled: None) -> Iterator[list[Instance]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Instance("engine"))) for _ in range(2)]


def test_counts_at_two_instances(instances: list[Instance], figure: Figure) -> None:
    measured = loads.load([one.port for one in instances], 20, 200, 2)
    assert 300 < measured["sent"] < 500  # 400, by chance, with a deviation of 20
    assert measured["answered"] == measured["sent"] == measured["whole_ms"]["count"] == measured["first_ms"]["count"]
    assert not any(measured["errors"].values())
    assert measured["availability"] == 1
    assert sum(answered for answered, _ in measured["each_second"]) <= measured["answered"]
    # An answer to connect, and of each request its reply, at least one delta and its end.
    assert measured["frames"] >= 2 * 20 + 3 * measured["sent"]
    p50, p99, most = (measured["whole_ms"][name] for name in ("p50", "p99", "max"))
    assert 0 < p50 <= p99 <= most
    assert measured["late_ms"]["p50"] <= p50, "a request is late before it is answered"
    figure("load generator", f"{measured['sent']} requests at 2 instances: P50 {p50:.1f}, P99 {p99:.1f} ms")


def test_a_fixed_rate_is_exact(instances: list[Instance]) -> None:
    assert loads.load([instances[0].port], 3, 100, 0.5, fixed=1)["sent"] == 50


def test_a_killed_instance_loses_no_request_that_can_be_asked_again(instances: list[Instance]) -> None:
    for seconds in (3, 15, 60):  # the shortest load that is not over yet when its instance is killed here
        with closing(Instance("engine")) as killed:
            process = loads.start([instances[0].port, killed.port], 10, 100, seconds, tokens=4, pause=40, grace=100)
            assert "10 of 10" in loads.connected(process)
            time.sleep(0.4)  # then some answers are half here
            killed.kill()
            killed.start()
            killed.started()
            measured = loads.ended(process)
        if measured["resumed"]:
            break
    assert measured["cuts"] == measured["back_ms"]["count"] == 5
    assert measured["resumed"] > 0
    assert measured["answered"] == measured["sent"]
    assert not any(measured["errors"].values())


# -- servers that are broken -------------------------------------------------------------------------------------------

Tell = Callable[..., Awaitable[None]]


async def right(tokens: list[str], tell: Tell) -> None:
    text = "".join(tokens)
    await tell("delta", deltaText=text, offset=0)
    await tell("final", length=len(text))


async def gap(tokens: list[str], tell: Tell) -> None:
    await tell("delta", deltaText=tokens[0], offset=0)
    await tell("delta", deltaText=tokens[2], offset=len(tokens[0]) + len(tokens[1]))


async def end_missing(tokens: list[str], tell: Tell) -> None:
    await tell("delta", deltaText=tokens[0], offset=0)
    await tell("final", length=len(tokens[0]))


async def told_twice(tokens: list[str], tell: Tell) -> None:
    await tell("delta", deltaText=tokens[0], offset=0)
    await tell("delta", deltaText=tokens[0], offset=0)


async def other_text(tokens: list[str], tell: Tell) -> None:
    await tell("delta", deltaText=tokens[1], offset=0)


async def ended_twice(tokens: list[str], tell: Tell) -> None:
    await right(tokens, tell)
    await tell("final", length=sum(map(len, tokens)))


async def failed(tokens: list[str], tell: Tell) -> None:
    await tell("error", errorMessage="no", errorCode="MODEL")


async def silent(tokens: list[str], tell: Tell) -> None:
    pass


async def loaded(answer: Callable[[list[str], Tell], Awaitable[None]]) -> dict[str, Any]:
    """What the generator measures at a server that answers so."""

    async def served(ws: ServerConnection) -> None:
        async for message in ws:
            request = json.loads(message)
            params = request["params"]

            async def tell(state: str, run: str = params["idempotencyKey"], **facts: Any) -> None:
                payload = {"runId": run, "state": state, **facts}
                await ws.send(json.dumps({"type": "event", "event": "chat", "payload": payload}))

            await ws.send(json.dumps({"type": "res", "id": request["id"], "ok": True, "payload": {}}))
            await answer(tokens_of(params["message"])[0], tell)

    async with serve(served, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        for grace in (0.3, 3, 30) if answer is silent else (30,):  # seconds, in which all is sent at least
            settings = {"plain": 1, "tokens": 3, "grace": grace, "fixed": 1}
            measured = await asyncio.to_thread(loads.load, [port], 2, 100, 0.2, **settings)
            if measured["sent"] == 20:
                break
        return measured


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (gap, "lost"), (end_missing, "lost"), (told_twice, "repeated"), (other_text, "wrong"), (ended_twice, "twice"),
        (failed, "failed"), (silent, "unanswered"), (right, None),
    ],
)  # fmt: skip
def test_a_broken_server_is_seen(answer: Callable[[list[str], Tell], Awaitable[None]], kind: str | None) -> None:
    measured = asyncio.run(loaded(answer))
    assert measured["sent"] == 20
    assert {name: count for name, count in measured["errors"].items() if count} == ({kind: 20} if kind else {})
    assert measured["answered"] == (20 if kind in (None, "twice") else 0)
    assert measured["codes"] == ({"MODEL": 20} if kind == "failed" else {})
