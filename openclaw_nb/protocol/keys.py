"""Session keys, how gateways name the conversation of an agent: ``agent:main:name``."""

from __future__ import annotations

from ..errors import RequestError

__all__ = ["read_session_key", "session_key"]


def session_key(agent: str, session: str) -> str:
    """The key of an agent's session; a session that is a whole key already stays so."""
    return session if session.startswith("agent:") else f"agent:{agent}:{session}"


def read_session_key(key: str) -> tuple[str, str]:
    """(agent, session) of ``agent:ID:SESSION``, or of a bare session of the main agent."""
    match key.split(":", 2):
        case ["agent", agent, session] if agent and session:
            return agent, session
        case _ if key:
            return "main", key
        case _:
            raise RequestError("sessionKey must not be empty")
