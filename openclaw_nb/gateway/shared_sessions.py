"""SharedSessions, what was said in each session wherever it was said: told to the others, and taken from them.

Each run that ends adds its question and answer to the session's stream in Redis. An instance that begins a turn, or
tells a history, first takes in what its own store misses. Cards, which say how a session is set, stay its own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from typing import Any

from ..errors import OpenClawError
from ..sessions.memory import Memory
from ..sharing import records

__all__ = ["SharedSessions"]

MOST = 65_536
"""Sessions of which it is remembered how far they are known here; what is read twice is taken in once."""

log = logging.getLogger("openclaw_nb")


class SharedSessions:
    """The sessions of ``memory`` as all instances have them; those are called by their names in keys."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._said: dict[str, tuple[str, dict[str, Any]] | None] = {}
        memory.heard = self._hear

    def seen(self, session: str) -> str:
        """The last entry that is known here."""
        return self._seen.get(session, "")

    def saw(self, session: str, entry: str) -> None:
        self._seen[session] = entry
        self._seen.move_to_end(session)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def expect(self, run_id: str) -> None:
        """Keep at hand what a run adds to its session."""
        self._said[run_id] = None

    def said(self, run_id: str) -> tuple[str, str]:
        """The session that a run has added to, and what; both "" where it added nothing."""
        found = self._said.get(run_id)
        return ("", "") if found is None else (found[0], records.write(found[1]))

    def forget(self, run_id: str) -> None:
        """It is written, or is not to be."""
        self._said.pop(run_id, None)

    def first(self, session: str) -> str:
        """What stands before all else, where a session began in a file before it was shared; "" where it did not."""
        if self._memory.store.in_memory or self.seen(session) or not self._memory.begun(session):
            return ""
        head = self._memory.head(session)
        messages = head.state.get("messages", []) if head else []
        return records.write({"run": "", "messages": messages, "others": {"kind": "turn"}}) if messages else ""

    def take_in(self, session: str, heard: Sequence[Any]) -> Awaitable[None] | None:
        """Let a session grow by what others heard said in it; None where there is nothing new."""
        if not heard:
            return None
        at, anew, *entries = heard
        self.saw(records.name_of(session), at)
        return self._memory.do(self._add, session, anew, [records.read(text) for text in entries])

    def withdraw(self, session: str, snapshot: str | None) -> None:
        """Take back what a run has added that was somebody else's by then."""
        memory = self._memory
        head = memory.head(session)
        if head is not None and head.id == snapshot:
            memory.point(session, head.parent)

    # -- inside ----------------------------------------------------------------------------------

    def _hear(self, session: str, messages: list[dict[str, Any]], others: dict[str, Any]) -> None:
        """On whatever thread: a session has grown."""
        run = messages[-1].get("run") if messages else None
        if run in self._said:
            self._said[run] = session, {"run": run, "messages": messages, "others": others}

    def _add(self, session: str, anew: bool, entries: list[dict[str, Any]]) -> None:
        memory = self._memory
        if anew and memory.begun(session):
            memory.point(session, None)
        for entry in entries:
            try:
                run, messages, others = entry["run"], entry["messages"], entry["others"]
                head = memory.head(session)
                known = head.state.get("messages", []) if head else []
                if _misses(known, run, messages):
                    memory.base(session, run)  # before its question, where it was cut
                    memory.append(session, messages, **others)
            except (OpenClawError, KeyError, TypeError):
                log.warning("what was said in session %s elsewhere was not taken in", session, exc_info=True)


def _misses(known: list[dict[str, Any]], run: str, messages: list[dict[str, Any]]) -> bool:
    """Whether a session lacks what a run said; of one that was cut there may be the beginning."""
    here = [message for message in known if run and message.get("run") == run]
    if not run:
        return not known
    return not here or (_cut(here[-1]) and not _cut(messages[-1]))


def _cut(message: dict[str, Any]) -> bool:
    return bool(message.keys() & {"stopped", "failed"})
