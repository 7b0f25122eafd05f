"""history: what was said in a session elsewhere, in the forms of both protocols."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.remote.history import history
from tests.household import household
from tests.spine import asynchronous

KEY = "agent:main:notes"

AT_4: list[dict[str, Any]] = [
    {"role": "user", "content": "run it", "timestamp": 1_795_392_051_016},
    {
        "role": "assistant", "provider": "mock", "model": "mock-1", "stopReason": "toolUse",
        "content": [
            {"type": "thinking", "thinking": "thought0 "},
            {"type": "toolCall", "id": "call_5_0", "name": "exec", "arguments": {"command": "echo hi"}},
        ],
        "usage": {"input": 3351, "output": 8, "cost": {"input": 0.003351, "output": 0, "total": 0.003367}},
    },
    {
        "role": "toolResult", "toolCallId": "call_5_0", "toolName": "exec", "isError": True,
        "content": [{"type": "text", "text": "hi"}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "it said: hi"}], "stopReason": "stop"},
]  # fmt: skip

AT_3: list[dict[str, Any]] = [
    {
        "role": "user", "timestamp": 1_795_392_066_379,
        "content": [{"type": "text", "text": "look"}, {"type": "image", "mimeType": "image/png", "data": "aGk="}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
]  # fmt: skip


@asynchronous
async def test_a_turn_with_a_tool() -> None:
    async with household(4) as (gateway, client):
        gateway.begin(KEY, *AT_4)
        told = await history(client, KEY)
        asked, called, result, said = told.messages
        assert told.total == 4
        assert (asked.role, asked.text, asked.at) == ("user", "run it", 1_795_392_051.016)
        assert (called.thought, called.calls) == ("thought0 ", (("exec", {"command": "echo hi"}),))
        assert (called.model, called.tokens, called.cost, called.text) == ("mock-1", 8, 0.003367, "")
        assert (result.role, result.tool, result.text, result.failed) == ("tool", "exec", "hi", True)
        assert (said.text, said.failed) == ("it said: hi", False)


@asynchronous
async def test_parts_and_a_picture_whose_bytes_stay_away() -> None:
    async with household(3) as (gateway, client):
        gateway.begin(KEY, *AT_3)
        told = await history(client, KEY)
        assert told.total is None
        assert told.messages[0].files == ("image/png",)
        assert "aGk" not in str(told)
        assert told.messages[1].text == "a\n\nb"


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_no_more_than_asked_for(protocol: int) -> None:
    async with household(protocol) as (gateway, client):
        gateway.begin(KEY, *AT_4)
        assert [one.text for one in (await history(client, KEY, 2)).messages] == ["hi", "it said: hi"]
        assert (await history(client, "agent:main:none")).messages == ()


@asynchronous
async def test_what_cannot_be_read_is_left_out() -> None:
    async with household(4) as (gateway, client):
        gateway.begin(KEY, {"role": 7, "content": 9, "usage": "x", "timestamp": "now"})
        (one,) = (await history(client, KEY)).messages
        assert (one.role, one.text, one.tokens, one.at) == ("", "", None, None)
