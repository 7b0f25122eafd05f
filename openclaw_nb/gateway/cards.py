"""Cards, what a gateway knows of its sessions beside what was said: settings, use, and how the last run ended."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from ..sessions.memory import Memory
from .runs import ActiveRun

__all__ = ["MOST_CARDS", "Card", "Cards"]

MOST_CARDS = 4096
"""Sessions that cards are kept of; the one that was longest still goes first."""


@dataclass(slots=True)
class Card:
    """One session of one agent; times in Unix milliseconds.

    ``thinking`` and ``model`` are for runs that name none. ``shown`` is what its clients want to see, kept for them.
    """

    agent: str
    session: str
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time() * 1000))
    updated: int = 0
    thinking: str | None = None
    model: str | None = None
    label: str | None = None
    shown: dict[str, str] = field(default_factory=dict)
    run: str = ""
    status: str = ""
    tokens: tuple[int, int] = (0, 0)
    cost: float = 0.0

    def __post_init__(self) -> None:
        key = self.key.encode(errors="backslashreplace").decode()  # UTF-8 has no lone surrogate
        self.id = self.id or str(uuid5(NAMESPACE_URL, key))  # one that was not begun is known by it already

    @property
    def key(self) -> str:
        return f"agent:{self.agent}:{self.session}"


class Cards:
    """The cards of all sessions of one memory, made when they are first asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._cards: OrderedDict[tuple[str, str], Card] = OrderedDict()

    def find(self, agent: str, session: str) -> Card | None:
        """The card of a session that has begun, or that somebody has set something for."""
        if (card := self._cards.get((agent, session))) is not None:
            return card
        if any(known == session for _, known in self._cards) or (head := self._memory.head(session)) is None:
            return None
        card = self.of(agent, session)
        card.created = card.updated = int(head.created * 1000)
        return card

    def of(self, agent: str, session: str) -> Card:
        """The card of a session, which may not have begun."""
        if (card := self._cards.get((agent, session))) is None:
            card = self._cards[agent, session] = Card(agent, session)
        self._cards.move_to_end((agent, session))
        if len(self._cards) > MOST_CARDS:
            self._cards.popitem(last=False)
        return card

    def all(self) -> list[Card]:
        """The cards of all sessions that have begun, or that somebody has set something for; the newest first."""
        known = {session for _, session in self._cards}
        found = list(reversed(self._cards.values()))  # of two in one millisecond, the later first
        for session, head in self._memory.sessions().items():
            if session not in known:
                when = int(head.created * 1000)
                found.append(Card("main", session, created=when, updated=when))
        return sorted((card for card in found if card.updated), key=lambda card: card.updated, reverse=True)

    def begin_anew(self, agent: str, session: str) -> Card:
        """The card of a session that forgets what was said: its settings stay, as they are the user's."""
        card = self.of(agent, session)
        card.id, card.run, card.status, card.tokens, card.cost = str(uuid4()), "", "", (0, 0), 0.0
        self.touch(card)
        return card

    def drop(self, agent: str, session: str) -> None:
        self._cards.pop((agent, session), None)

    def touch(self, card: Card) -> None:
        card.updated = int(time.time() * 1000)

    def began(self, run: ActiveRun) -> Card:
        """A run has begun in a session."""
        card = self.of(run.turn.agent, run.turn.session)
        card.run, card.status = run.turn.run_id, "running"
        self.touch(card)
        return card

    def ended(self, run: ActiveRun) -> Card:
        """A run has ended in a session."""
        card = self.of(run.turn.agent, run.turn.session)
        facts: dict[str, Any] = run.log.ending.facts if run.log.ending else {}
        if usage := facts.get("usage"):
            card.tokens = (card.tokens[0] + usage["input"], card.tokens[1] + usage["output"])
        card.cost += facts.get("cost", 0.0)
        state = run.log.ending.state if run.log.ending else "error"
        card.status = {"final": "done", "aborted": "killed"}.get(state, "failed")
        self.touch(card)
        return card
