"""Our client at real gateways: what it says comes from the model, whole, at the depth that was asked for."""

from __future__ import annotations

import asyncio
import random

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import AuthError, ProtocolError, RunError
from openclaw_nb.events import Delta, Status
from openclaw_nb.protocol import session as client_session
from openclaw_nb.protocol.keys import session_key
from tests.conformance.gateways import RealGateway
from tests.conformance.model import ModelProcess, answer_to
from tests.conformance.users import Figure, said, session, user_of
from tests.conformance.wire import Wire
from tests.faults.proxy import seamless
from tests.spine import asynchronous, soon

EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
"""What may reach a model, the least first."""


@asynchronous
async def test_chat(real: RealGateway, figure: Figure) -> None:
    async with user_of(real) as client:
        hello = await client.hello()
        assert hello.protocol == real.protocol
        for length in (40, 400, 4_000):  # the shortest that does not come at once, where its gateway stood still
            run = client.send(message := f"hello [n={length}] [ms=5]", session=session("chat"))
            fits, pieces = seamless(run), list[str]()
            run.subscribe(lambda event, to=pieces: to.append(event.text) if isinstance(event, Delta) else None)
            result = await run
            assert result == answer_to(message)
            assert fits()
            assert result.status is Status.DONE
            if len(pieces) > 1:
                break
        assert len(pieces) > 1, "it came while it was made"
    figure(f"chat at {real.version}", f"protocol {hello.protocol}, {len(pieces)} deltas, the whole text")


@asynchronous
async def test_model_and_usage_are_the_gateways(real: RealGateway) -> None:
    async with user_of(real) as client:
        result = await client.send("count [n=7]", session=session("usage"))
    assert result.model.endswith("mock-1")
    assert result.usage.output_tokens == 7
    assert not result.usage.estimated
    assert result.usage.input_tokens > 0


@asynchronous
async def test_levels(real: RealGateway, model: ModelProcess, figure: Figure) -> None:
    """Each level asks the model for more than the one below; at protocol 3 too, which knows levels of sessions only."""
    name = session("levels")
    async with user_of(real) as client:
        for level in (1, 2, 3, 4):
            await client.send(f"{name}, level {level} [n=2]", session=name, level=level)
    asked = [call.effort for call in model.asked(name)]
    assert len(asked) == 4
    efforts = [EFFORTS.index(effort) if effort in EFFORTS else -1 for effort in asked]
    assert efforts == sorted(set(efforts)), asked
    figure(f"levels 1 to 4 at {real.version}", f"effort {', '.join(map(str, asked))}")


@asynchronous
async def test_stop_at_any_point(real: RealGateway, model: ModelProcess, figure: Figure) -> None:
    """What came is kept, and is a part of the answer from its beginning; the model is not left running."""
    count, chance = 20, random.Random(7)
    messages = {session("stop"): f"go on [n=6000] [ms=5] {index}." for index in range(count)}
    kept: list[int] = []

    async def stop(name: str, message: str) -> None:
        run = client.send(message, session=name)
        after = chance.randrange(1, 250)
        async for _ in run:
            if len(run.text.split()) >= after:
                break
        run.cancel()
        result = await run
        assert result.status is Status.STOPPED
        assert answer_to(message).startswith(result.text)
        assert after <= len(result.split()) < 6000, "it was at work for half a minute, if nobody had stopped it"
        kept.append(len(result.split()))

    async with user_of(real) as client:
        pairs = list(messages.items())
        for four in (pairs[at : at + 4] for at in range(0, count, 4)):
            await asyncio.gather(*(stop(*pair) for pair in four))
    calls = [model.asked(f"[ms=5] {index}.")[-1] for index in range(count)]
    await soon(
        lambda: all(model.asked(call.message)[-1].closed_early for call in calls), "the end of the model's stream"
    )
    figure(f"stopped at {count} random points at {real.version}", f"{min(kept)} to {max(kept)} of 6000 tokens kept")


@asynchronous
async def test_history(real: RealGateway, figure: Figure) -> None:
    name = session("history")
    async with user_of(real) as client:
        await client.send("first [n=3]", session=name)
    async with user_of(real) as client:
        answer = await client.send("second [echo]", session=name)
        assert "users=2" in answer
        messages = await said(client, name)
    assert [role for role, _ in messages] == ["user", "assistant"] * 2
    assert [text for _, text in messages][1] == answer_to("[n=3]")
    assert messages[3][1] == answer
    figure(f"history at {real.version}", "two questions over two connections are one conversation")


@asynchronous
async def test_two_sessions_at_once(real: RealGateway, figure: Figure) -> None:
    both: list[bool] = []
    async with user_of(real) as client:
        for length in (60, 600, 6_000):  # the shortest that is not over before the other begins, where one stood still
            first, second = f"one [n={length}] [ms=10]", f"two [n={length + 1}] [ms=10]"
            runs = [client.send(message, session=session("abreast")) for message in (first, second)]
            for run in runs:
                run.subscribe(lambda event, runs=runs: both.append(all(run.text and not run.done() for run in runs)))
            assert [str(result) for result in await asyncio.gather(*runs)] == [answer_to(first), answer_to(second)]
            if any(both):
                break
    assert any(both), "they were at work at one time"
    figure(f"two sessions in parallel at {real.version}", "both whole, at work at one time")


@asynchronous
async def test_one_after_the_other_in_a_session(real: RealGateway, model: ModelProcess, figure: Figure) -> None:
    """A gateway would merge what is sent into a busy session, or queue it under another id."""
    name = session("queue")
    messages = [f"{name} part {index} [n={5 + index}] [ms=10]" for index in range(3)]
    async with user_of(real) as client:
        runs = [client.send(message, session=name) for message in messages]
        results = await asyncio.gather(*runs)
        assert [str(result) for result in results] == [answer_to(message) for message in messages]
        roles = [role for role, _ in await said(client, name)]
    assert roles == ["user", "assistant"] * 3
    assert len(model.asked(name)) == 3
    figure(f"three messages at once into a session at {real.version}", "three answers, one after the other")


@asynchronous
async def test_behind_another_client_in_a_session(real: RealGateway, figure: Figure) -> None:
    """As after a restart of the kernel, whose run goes on there."""
    name = session("behind")
    async with user_of(real) as before, user_of(real) as after:
        first = before.send("one [n=150] [ms=10]", session=name)
        await soon(lambda: first.text)
        second = after.send("two [n=3]", session=name)
        assert [str(await run) for run in (second, first)] == [answer_to("[n=3]"), answer_to("[n=150]")]
        assert [role for role, _ in await said(after, name)] == ["user", "assistant"] * 2
    figure(f"a message behind another client's run at {real.version}", "it waits, and is answered")


@asynchronous
async def test_tools_are_steps(real: RealGateway, figure: Figure) -> None:
    async with user_of(real) as client:
        result = await client.send("do it [exec=echo from-a-tool]", session=session("tool"))
    assert "it said: from-a-tool" in result
    step = next(step for step in result.steps if "exec" in step.title.lower())
    assert "echo from-a-tool" in step.title + step.text
    figure(f"tool events at {real.version}", f"a step {step.title!r}" + (" with its output" if step.text else ""))


@asynchronous
async def test_thoughts_are_steps(real: RealGateway, figure: Figure) -> None:
    async with user_of(real) as client:
        result = await client.send("ponder [think=5] [n=3]", session=session("thoughts"), level=4)
    assert result == answer_to("[n=3]")
    thoughts = [step for step in result.steps if "thought0" in step.text]
    figure(f"thoughts at {real.version}", "a step" if thoughts else "are not told")
    assert thoughts or real.protocol == 3


# -- what is refused -------------------------------------------------------------------------------


@asynchronous
async def test_wrong_token(real: RealGateway, figure: Figure) -> None:
    async with OpenClawClient(token="not-the-token-at-all") as client:
        with pytest.raises(AuthError) as refused:
            await client.connect(real.url)
    assert refused.value.code == "AUTH_TOKEN_MISMATCH"
    figure(f"a wrong token at {real.version}", f"AuthError {refused.value.code}")


@asynchronous
async def test_other_protocol(real: RealGateway, figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_session, "PROTOCOLS", (1, 1))
    with pytest.raises(ProtocolError, match="another protocol"):
        async with user_of(real):
            pass
    figure(f"a protocol that it does not speak at {real.version}", "ProtocolError")


@asynchronous
async def test_a_model_that_fails(real: RealGateway, figure: Figure) -> None:
    """Some of its failures a gateway tells as an answer that ends as it should."""
    async with user_of(real) as client:
        with pytest.raises(RunError) as failed:
            await client.send("go [fail]", session=session("fail"))
        assert await client.send("and now [n=2]", session=session("fail")) == answer_to("[n=2]")
    figure(f"a failing model at {real.version}", f"{type(failed.value).__name__}: {failed.value}")


@asynchronous
async def test_a_refusal_is_an_error(gateways: dict[str, RealGateway], figure: Figure) -> None:
    """2026.9.6 refuses a depth that a model does not have with an answer of its own, which ends as any other does."""
    real, name = gateways["2026.9.6"], session("refusal")
    async with user_of(real) as client:
        await client.send("begin [n=1]", session=name, level=3)
        changed = {"key": session_key("main", name), "model": "mock/mock-2"}  # behind the client's back
        async with Wire(real.url, real.token) as wire:
            await wire.let_in(scopes=["operator.read", "operator.write", "operator.admin"])
            assert (await wire.call("sessions.patch", changed))["ok"]
        with pytest.raises(RunError, match="not supported") as refused:
            await client.send("think as it cannot [n=3]", session=name, level=3)
    figure(f"a refusal that ends as an answer does at {real.version}", f"{refused.value.code}: {refused.value}")
