"""What owners want of their gateway: sessions, history, forks, agents, models, usage and files, at both versions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image

from openclaw_nb.errors import ConfigError, RequestError
from openclaw_nb.prompts import Prompt
from openclaw_nb.prompts.files import File, file_of
from openclaw_nb.protocol.keys import session_key
from openclaw_nb.remote.attachments import pack, takes
from openclaw_nb.remote.catalog import check_agents, list_agents, list_models
from openclaw_nb.remote.history import history
from openclaw_nb.remote.sessions import ADMIN, fork, list_sessions, look, reset, set_model
from openclaw_nb.remote.usage import usage
from tests.conformance.gateways import RealGateway
from tests.conformance.users import Figure, session, user_of
from tests.spine import asynchronous


@asynchronous
async def test_sessions_and_what_was_said(real: RealGateway, figure: Figure) -> None:
    name = session("told")
    key = session_key("main", name)
    async with user_of(real) as client:
        assert await look(client, key) is None
        await client.send("say [n=4]", session=name)
        await client.send("run it [exec=echo hi]", session=name)
        one = await look(client, key)
        assert one is not None
        assert one.model == "mock/mock-1"
        assert one.updated == pytest.approx(datetime.now().timestamp(), abs=120)
        listed = await list_sessions(client, 1)
        assert [one.key for one in listed.sessions] == [key]
        assert listed.total >= 1
        told = (await history(client, key)).messages
    roles = [message.role for message in told]
    assert roles == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    assert told[0].text == "say [n=4]"
    assert told[1].text == "tok0 tok1 tok2 tok3"
    assert told[3].calls == (("exec", {"command": "echo hi"}),)
    assert (told[4].tool, told[4].text) == ("exec", "hi")
    figure(f"sessions and history at {real.version}", f"listed, {len(told)} messages with a tool's call and result")


@asynchronous
async def test_a_fork(real: RealGateway, figure: Figure) -> None:
    name = session("forked")
    key, new = session_key("main", name), session_key("main", f"{name}-aside")
    async with user_of(real) as client:
        await client.send("say [n=4]", session=name)
        if real.protocol == 3:
            with pytest.raises(ConfigError, match="cannot fork a session"):
                await fork(client, key, new)
            with pytest.raises(RequestError, match=r"missing scope|unknown method"):
                await client.request("sessions.create", {"key": new, "parentSessionKey": key, "fork": True})
            figure(f"fork at {real.version}", "it has none, and we say so")
            return
        assert await fork(client, key, new) == new
        await client.send("go on [n=2]", session=f"{name}-aside")
        texts = [message.text for message in (await history(client, new)).messages]
        assert texts == ["say [n=4]", "tok0 tok1 tok2 tok3", "go on [n=2]", "tok0 tok1"]
        assert len((await history(client, key)).messages) == 2
        with pytest.raises(ConfigError, match="already"):
            await fork(client, key, new)
    figure(f"fork at {real.version}", "begins with what was said, the other stays as it was")


@asynchronous
async def test_anew(real: RealGateway, figure: Figure) -> None:
    name = session("anew")
    key = session_key("main", name)
    async with user_of(real) as client:
        await client.send("say [n=4]", session=name)
        with pytest.raises(RequestError, match=r"missing scope: operator\.admin"):
            await reset(client, key)
        async with client.elevated(ADMIN) as admin:
            await reset(admin, key)
        assert not [one for one in (await history(client, key)).messages if one.role in ("user", "assistant")]
        assert await client.send("again [n=2]", session=name) == "tok0 tok1"
    figure(f"reset at {real.version}", "over a connection of its own with operator.admin")


@asynchronous
async def test_agents_and_models(real: RealGateway, figure: Figure) -> None:
    name = session("model")
    async with user_of(real) as client:
        agents = {agent.id: agent for agent in await list_agents(client)}
        assert agents["main"].default
        assert "helper" in agents
        with pytest.raises(ConfigError, match="has no agent 'nobody'"):
            await check_agents(client, "nobody")
        assert await client.send("say [n=2]", session=name, agent="helper") == "tok0 tok1"
        assert await look(client, session_key("helper", name)) is not None
        models = {model.id: model for model in await list_models(client)}
        assert models["mock/mock-1"].reasoning
        levels = ("off", "minimal", "low", "medium", "high")
        assert models["mock/mock-1"].thinking == (levels if real.protocol > 3 else None)
        async with client.elevated(ADMIN) as admin:
            assert await set_model(admin, session_key("main", name), "mock/mock-2") == "mock/mock-2"
        assert "model=mock-2" in await client.send("say [echo]", session=name)
    figure(f"agents and models at {real.version}", "listed, another agent asked, another model set")


@asynchronous
async def test_usage(real: RealGateway, figure: Figure) -> None:
    async with user_of(real) as client:
        await client.send("say [n=4]", session=session("used"))
        told = await usage(client, datetime.now(UTC).date(), 2)
        for _ in range(240):  # what was said last is counted a little later
            if told.total.tokens:
                break
            await asyncio.sleep(0.5)
            told = await usage(client, datetime.now(UTC).date(), 2)
    assert told.models["mock/mock-1"].output > 0
    assert told.total.cost > 0
    assert sum(day.tokens for day in told.days.values()) == told.total.tokens
    figure(f"usage at {real.version}", f"{told.total.tokens:,} tokens, by model and day")


@asynchronous
async def test_a_figure_and_a_file(real: RealGateway, figure: Figure) -> None:
    drawn = BytesIO()
    Image.new("RGB", (40, 30), "red").save(drawn, "PNG")
    files = [file_of("fig", drawn.getvalue()), file_of("table", "a,b\n1,2\n")]
    name = session("along")
    async with user_of(real) as client:
        known = takes(await client.hello())
        prompt, attachments = pack(Prompt("say [echo]"), files, known, client.uri)
        assert "images=1" in await client.send(str(prompt), session=name, attachments=attachments)
        pdf = File("plan.pdf", "application/pdf", b"%PDF-1.4\n\xff\n%%EOF")
        if real.protocol == 3:
            assert "a,b\n1,2" in str(prompt)
            with pytest.raises(ConfigError, match="takes pictures and text along"):
                pack(Prompt("say [echo]"), [pdf], known, client.uri)
        else:
            assert known.files > 10_000_000
            prompt, attachments = pack(Prompt("say [n=2]"), [pdf], known, client.uri)
            assert await client.send(str(prompt), session=name, attachments=attachments) == "tok0 tok1"
    how = "as attachments" if known.files else "the image as attachment, the text in the message"
    figure(f"a figure and a file at {real.version}", how)
