"""Cards: what a session is set to and used stays with it, for so many sessions."""

from __future__ import annotations

import pytest

from openclaw_nb.gateway import cards as module
from openclaw_nb.gateway.cards import Card, Cards
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore


def new_cards(*begun: str) -> Cards:
    memory = Memory(SnapshotStore())
    for session in begun:
        memory.append(session, [{"role": "user", "content": "x"}])
    return Cards(memory)


def test_one_that_was_not_begun_has_its_id_already() -> None:
    assert Card("main", "s").id == Card("main", "s").id != Card("main", "t").id
    assert Card("main", "s").key == "agent:main:s"


def test_sessions_of_the_store_have_one() -> None:
    cards = new_cards("a", "b")
    assert {card.session for card in cards.all()} == {"a", "b"}
    card = cards.find("main", "a")
    assert card is not None
    assert card.updated > 1_700_000_000_000
    assert cards.find("main", "c") is None
    card.thinking = "high"
    assert cards.of("main", "a") is card
    assert len(cards.all()) == 2


def test_of_two_in_one_millisecond_the_later_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "time", lambda: 1_795_391_520.0)
    cards = new_cards()
    for session in ("a", "b", "c", "a"):
        cards.touch(cards.of("main", session))
    assert [card.session for card in cards.all()] == ["a", "c", "b"]


def test_who_begins_anew_keeps_what_the_user_set() -> None:
    cards = new_cards()
    card = cards.of("main", "s")
    card.thinking, card.tokens, card.cost = "high", (1, 2), 0.5
    before = card.id
    assert cards.begin_anew("main", "s") is card
    assert (card.thinking, card.tokens, card.cost) == ("high", (0, 0), 0.0)
    assert card.id != before
    cards.drop("main", "s")
    assert not cards.all()


def test_the_one_that_was_longest_still_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CARDS", 2)
    cards = new_cards()
    first = cards.of("main", "a")
    cards.of("main", "b")
    assert cards.of("main", "a") is first
    cards.of("main", "c")
    assert cards.of("main", "a") is first
    assert cards.of("main", "b").updated == 0
