"""The parameters of other clients' methods: what theirs send is taken, anything else is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.protocol import methods
from openclaw_nb.protocol.frames import BadFrame, Request
from openclaw_nb.protocol.methods import read_taken

AS_SENT: list[tuple[Any, dict[str, Any]]] = [
    (methods.TakenSend, {"sessionKey": "s", "message": "m", "deliver": False, "idempotencyKey": "k", "sessionId": "i"}),
    (methods.TakenAbort, {"sessionKey": "s", "preserveSideRuns": True}),
    (methods.TakenHistory, {"sessionKey": "s", "limit": 200}),
    (methods.Nothing, {"includeChannelSummary": False, "includeCliProjection": True}),
    (methods.Nothing, {"agentId": "main", "scope": "text", "includeArgs": False}),
    (methods.AgentParams, {"message": "m", "sessionKey": "s", "deliver": False, "timeout": 600, "idempotencyKey": "k"}),
    (methods.AgentWait, {"runId": "r", "timeoutMs": 20_000}),
    (methods.SessionsList, {"limit": 50, "activeMinutes": 10_080, "includeGlobal": False, "includeUnknown": False,
                            "includeDerivedTitles": True, "includeLastMessage": True, "agentId": "main"}),
    (methods.SessionAt, {"key": "s"}),
    (methods.SessionsAt, {"keys": ["s"], "limit": 3}),
    (methods.SessionsReset, {"key": "s", "reason": "new"}),
    (methods.SessionsPatch, {"key": "s", "thinkingLevel": None}),
    (methods.SessionsCreate, {"key": "s", "agentId": "main", "parentSessionKey": "p", "succeedsParent": True,
                              "emitCommandHooks": True}),
    (methods.SessionsSend, {"key": "s", "message": "m"}),
]  # fmt: skip


@pytest.mark.parametrize(("type", "params"), AS_SENT)
def test_what_real_clients_send(type: Any, params: dict[str, Any]) -> None:
    assert read_taken(Request("1", "m", params), type)
    with pytest.raises(BadFrame, match="invalid m params: at root: unexpected property 'nonsense'"):
        read_taken(Request("1", "m", params | {"nonsense": 1}), type)


@pytest.mark.parametrize(
    ("type", "params"),
    [
        (methods.AgentParams, {"message": "", "idempotencyKey": "k"}),
        (methods.AgentParams, {"message": "m"}),
        (methods.AgentParams, {"message": "m", "idempotencyKey": "k", "timeout": -1}),
        (methods.AgentWait, {"runId": "r", "timeoutMs": 10**12}),
        (methods.SessionsList, {"limit": 0}),
        (methods.SessionsList, {"search": 5}),
        (methods.SessionsAt, {"keys": ["s"] * 65}),
        (methods.SessionsReset, {"key": "s", "reason": "other"}),
        (methods.SessionsPatch, {"key": "k" * 2_000}),
        (methods.TakenSend, {"sessionKey": "s", "message": "m", "idempotencyKey": "k", "timeoutMs": -1}),
    ],
)
def test_what_no_real_client_sends(type: Any, params: dict[str, Any]) -> None:
    with pytest.raises(BadFrame, match="invalid m params"):
        read_taken(Request("1", "m", params), type)
