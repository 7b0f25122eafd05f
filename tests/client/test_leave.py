"""Leave: what waits for a person is asked once, decided by nobody else, told back, and survives a cut."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openclaw_nb.events import Approval, Status
from openclaw_nb.run import Run
from tests.foreign import Foreign, foreign
from tests.spine import asynchronous, soon


def row(run_id: str | None, id: str = "a1", **request: Any) -> dict[str, Any]:
    told = {"command": "touch x", "host": "gateway", "cwd": "/tmp", "sessionKey": "agent:main:main", **request}
    if run_id is not None:
        told["runId"] = run_id
    return {"id": id, "request": told, "createdAtMs": 1_000, "expiresAtMs": 61_000}


def watched(run: Run) -> list[tuple[str | None, str]]:
    """What listeners are told: decision, and by whom."""
    told: list[tuple[str | None, str]] = []
    run.subscribe(lambda event: told.append((event.decision, event.by)) if isinstance(event, Approval) else None)
    return told


async def asking(gateway: Foreign, run: Run, **request: Any) -> list[tuple[str | None, str]]:
    told = watched(run)
    await soon(lambda: run.id in gateway.runs)
    waiting = row(run.id if gateway.protocol == 4 else None, **request)
    gateway.approvals.append(waiting)
    await gateway.event("exec.approval.requested", waiting)
    await soon(lambda: run.approvals.pending)
    return told


async def resolved(gateway: Foreign, decision: str | None, by: str = "gateway-client", id: str = "a1") -> None:
    gateway.approvals.clear()
    await gateway.event("exec.approval.resolved", {"id": id, "decision": decision, "resolvedBy": by})


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("allow", [True, False])
@asynchronous
async def test_decided(protocol: int, allow: bool) -> None:
    async with foreign(protocol) as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        [approval] = run.approvals.pending
        assert (approval.title, approval.command, approval.expires) == ("exec wants to run", "touch x", 60.0)
        assert "exec.approval.resolve" not in gateway.methods(), "nobody decides by default"
        run.approvals.decide("a1", allow)
        await soon(lambda: len(told) == 2)
        word = "allow-once" if allow else "deny"
        assert gateway.asked[-1] == ("exec.approval.resolve", {"id": "a1", "decision": word})
        await resolved(gateway, word)
        await gateway.say(run.id, "done", "final")
        result = await run
    assert told == [(None, ""), (word, "")]
    assert [step.title for step in result.steps] == ["allowed once" if allow else "denied"]


@pytest.mark.parametrize(("decision", "by"), [("deny", "phone"), ("allow-once", "phone"), (None, "")])
@asynchronous
async def test_decided_elsewhere(decision: str | None, by: str) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        await resolved(gateway, decision, by)
        await soon(lambda: len(told) == 2)
        assert told[-1] == (decision or "expired", by)
        await gateway.say(run.id, "done", "final")
        await run


@asynchronous
async def test_somebody_else_was_first() -> None:
    """Another decision than the one on its way is somebody else's, and is what counts."""
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        real = gateway.answer

        def late(method: str, params: dict[str, Any]) -> dict[str, Any]:
            if method == "exec.approval.resolve":
                deciding.append(asyncio.ensure_future(resolved(gateway, "deny", "phone")))
                return {"ok": False, "error": {"code": "INVALID_REQUEST", "message": "try later"}}
            return real(method, params)

        deciding: list[Any] = []
        gateway.answer = late  # type: ignore[method-assign]
        run.approvals.decide("a1", True)
        await soon(lambda: told[-1] == ("deny", "phone"))
        await gateway.say(run.id, "done", "final")
        await run


@pytest.mark.parametrize(("why", "again"), [("approval already resolved", False), ("try later", True)])
@asynchronous
async def test_a_decision_that_is_refused(why: str, again: bool) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        gateway.refused["exec.approval.resolve"] = why
        run.approvals.decide("a1", True)
        await soon(lambda: len(told) == 2)
        assert told[-1] == ((None, "") if again else ("expired", ""))
        assert bool(run.approvals.pending) is again
        await gateway.say(run.id, "done", "final")
        await run


@pytest.mark.parametrize("arrived", [True, False])
@asynchronous
async def test_a_decision_that_is_cut_off_is_told_again(arrived: bool) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        real = gateway.answer

        def cut(method: str, params: dict[str, Any]) -> dict[str, Any]:
            if method == "exec.approval.resolve":
                gateway.answer = real  # type: ignore[method-assign]
                if arrived:
                    gateway.approvals.clear()
                client._linked().first.link.again()
            return real(method, params)

        gateway.answer = cut  # type: ignore[method-assign]
        run.approvals.decide("a1", True)
        await soon(lambda: len(told) == 2)
        assert told[-1] == ("allow-once", "")
        assert gateway.methods().count("exec.approval.resolve") == (1 if arrived else 2)
        await gateway.say(run.id, "done", "final")
        await run


@asynchronous
async def test_what_was_asked_and_decided_while_the_link_was_down() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        gateway.approvals[:] = [row(run.id, "a2")]
        await client.reconnect()
        await soon(lambda: [approval.id for approval in run.approvals.pending] == ["a2"])
        assert told == [(None, ""), ("expired", ""), (None, "")]
        await gateway.say(run.id, "done", "final")
        await run


@pytest.mark.parametrize("listed", [None, 5, [None, 7, {}], [{"id": 5}], [{"id": "a", "request": 5}]])
@asynchronous
async def test_lists_that_cannot_be_read(listed: Any) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.id in gateway.runs)
        gateway.approvals = listed
        await client.reconnect()
        await soon(lambda: gateway.methods().count("exec.approval.list") == 2)
        await gateway.say(run.id, "done", "final")
        assert await run == "done"


@asynchronous
async def test_it_expires_here_too() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = watched(run)
        await soon(lambda: run.id in gateway.runs)
        await gateway.event("exec.approval.requested", {**row(run.id), "expiresAtMs": 1_020})
        await soon(lambda: told[-1:] == [("expired", "")])
        assert not run.approvals.unsettled
        await gateway.say(run.id, "done", "final")
        await run


@asynchronous
async def test_its_end_ends_it() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        told = await asking(gateway, run)
        run.cancel()
        await gateway.say(run.id, "", "aborted")
        assert (await run).status is Status.STOPPED
        assert told == [(None, ""), ("expired", "")]
        assert not run.approvals.unsettled


@asynchronous
async def test_at_3_it_outlives_its_run() -> None:
    async with foreign(3) as (gateway, client):
        run = client.send("go")
        await asking(gateway, run)
        await gateway.say(run.id, "Approval required", "final")
        await run
        assert [approval.id for approval in run.approvals.pending] == ["a1"]
        run.approvals.decide("a1", True)
        await soon(lambda: not run.approvals.unsettled)
        assert gateway.asked[-1] == ("exec.approval.resolve", {"id": "a1", "decision": "allow-once"})


@asynchronous
async def test_those_of_others_are_not_asked_here() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.id in gateway.runs)
        await gateway.event("exec.approval.requested", row("another"))
        await gateway.event("exec.approval.requested", row(None, "a2", sessionKey="agent:main:other"))
        await gateway.event("exec.approval.requested", row(None, "a3"))
        await soon(lambda: run.approvals.pending)
        assert [approval.id for approval in run.approvals.pending] == ["a3"]
        await gateway.say(run.id, "done", "final")
        await run
