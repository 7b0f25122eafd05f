"""Audience, the clients of a gateway that are let in: who is there, and who is told what nobody asked for.

OpenClaw's own clients are told of every run, whoever asked for it; ours hear of those that they follow.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from ..version import __version__
from .connection import Connection
from .runs import ActiveRun

__all__ = ["SETTLE", "Audience"]

SETTLE = 0.2
"""Seconds after somebody came or went until the others are told, of all who did so by then at once."""


class Audience:
    """The clients that may read, by whether they are ours; ``version`` counts who came and went."""

    def __init__(self) -> None:
        self.version = 1
        self._came: dict[Connection, int] = {}
        self._others: dict[Connection, None] = {}
        self._began = _now()
        self._teller: asyncio.TimerHandle | None = None

    def join(self, connection: Connection, at_work: list[ActiveRun]) -> None:
        """A client is let in; what is at work goes on before its eyes."""
        self._came[connection] = _now()
        if connection.session.ours or not connection.session.may("operator.read"):
            return
        for run in at_work:
            connection.listen(run, live=True)
        self._others[connection] = None
        self._changed()

    def leave(self, connection: Connection) -> None:
        self._came.pop(connection, None)
        if connection in self._others:
            del self._others[connection]
            self._changed()

    def close(self) -> None:
        if self._teller is not None:
            self._teller.cancel()
            self._teller = None

    def follow(self, run: ActiveRun) -> None:
        """A run begins: everybody who is told of all runs is told of it."""
        for connection in self._others:
            connection.listen(run)

    def tell(self, name: str, payload: dict[str, Any]) -> None:
        """Tell those who listen to the session of this payload; nothing of it is made where nobody does."""
        key = payload["sessionKey"]
        for connection in self._others:
            if connection.listens is None or key in connection.listens:
                connection.send_event(name, payload)

    def tell_all(self, name: str, payload: dict[str, Any]) -> None:
        """Tell everybody who is told of all runs."""
        for connection in self._others:
            connection.send_event(name, payload)

    @property
    def listening(self) -> bool:
        """Whether anybody listens to a session."""
        # Asked twice in each run, and mostly nobody is there.
        return bool(self._others) and any(one.listens is None or one.listens for one in self._others)

    def presence(self) -> list[dict[str, Any]]:
        """Who is there, as `system-presence` tells it: this gateway first, and no name of the machine."""
        itself = {
            "host": "openclaw-nb", "version": __version__, "platform": sys.platform, "mode": "gateway",
            "reason": "self", "text": f"Gateway: openclaw-nb · app {__version__} · mode gateway · reason self",
            "ts": _now(),
        }  # fmt: skip
        return [itself, *(_entry(connection, came) for connection, came in self._came.items())]

    def snapshot(self, health: dict[str, Any]) -> dict[str, Any]:
        """What a client learns when it is let in."""
        return {
            "presence": self.presence(), "health": health, "stateVersion": self._state(),
            "uptimeMs": _now() - self._began,
            "sessionDefaults": {
                "defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main", "scope": "per-sender",
            },
        }  # fmt: skip

    def _state(self) -> dict[str, int]:
        return {"presence": self.version, "health": 1}

    def _changed(self) -> None:
        self.version += 1
        if self._teller is None and self._others:
            self._teller = asyncio.get_running_loop().call_later(SETTLE, self._tell_presence)

    def _tell_presence(self) -> None:
        self._teller = None
        self.tell_all("presence", {"presence": self.presence()})


def _entry(connection: Connection, came: int) -> dict[str, Any]:
    session, client = connection.session, connection.session.client
    known = {"version": client.version, "platform": client.platform, "deviceFamily": client.device_family}
    entry = {
        "host": client.display_name or client.id, "mode": client.mode or "unknown", "roles": ["operator"],
        "scopes": list(session.scopes), "reason": "connect", "ts": came,
        "text": f"Node: {client.display_name or client.id} · mode {client.mode}",
    }  # fmt: skip
    return entry | {key: word for key, word in (known | {"deviceId": session.device}).items() if word}


def _now() -> int:
    return int(time.time() * 1000)
