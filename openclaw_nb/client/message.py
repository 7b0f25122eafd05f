"""A message as it is sent: its parameters and what is wished for its session, checked before anything of it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..protocol.frames import encode
from ..protocol.keys import session_key

__all__ = ["check_place", "params_of", "wishes_of"]

LONGEST_KEY = 256
"""Characters of an idempotency key, as the protocol has it."""


def check_place(session: str, agent: str, timeout: float | None, busy: str) -> None:
    """ConfigError for a message that could be nowhere, or at no time."""
    if not session or not agent or ":" in agent:
        raise ConfigError(f"a session and an agent need a name, an agent one without a colon, not {agent!r}")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ConfigError(f"a timeout is a number of seconds above 0, not {timeout!r}")
    if busy not in ("wait", "branch"):
        raise ConfigError(f"busy is 'wait' or 'branch', not {busy!r}")


def params_of(
    prompt: str, run_id: str, *, agent: str, session: str, thinking: str, model: str | None,
    attachments: Sequence[Mapping[str, Any]], output: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """The params of `chat.send`; ConfigError for what no frame can say."""
    if not (isinstance(run_id, str) and 0 < len(run_id) <= LONGEST_KEY):
        raise ConfigError(f"an idempotency_key is text (str) of 1 to {LONGEST_KEY} characters, not {run_id!r:.60}")
    params: dict[str, Any] = {
        "sessionKey": session_key(agent, session), "message": prompt, "idempotencyKey": run_id, "thinking": thinking,
    }  # fmt: skip
    if attachments:
        params["attachments"] = list(attachments)
    if output is not None:
        params["output"] = dict(output)
    if model is not None:
        params["model"] = model
    _check_sendable(params)
    return params


def wishes_of(*, busy: str, base: str | None, budget: float | None, isolated: bool) -> dict[str, Any]:
    """What only a gateway of ours is told, where it is wished for; ConfigError for what no frame can say."""
    wishes = {"busy": busy if busy != "wait" else None, "base": base, "budget": budget, "isolated": isolated or None}
    told = {name: wish for name, wish in wishes.items() if wish is not None}
    _check_sendable(told)
    return told


def _check_sendable(params: Mapping[str, Any]) -> None:
    """Better here than on the link's thread, where it would end the link."""
    try:
        encode(params)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"this message cannot be sent: {error}") from None
    if not isinstance(params.get("message", ""), str):
        raise ConfigError(f"a prompt is text (str), not {type(params['message']).__name__}")
