"""The word lists: every entry can be met in a text, and none is there twice."""

from __future__ import annotations

import re

import pytest

from openclaw_nb.reasoning import lexicon
from openclaw_nb.reasoning.features import GROUPS, NAMES

LISTS = {
    **lexicon.ASKS, **lexicon.COUNTED, **{f"about {topic}": words for topic, words in lexicon.TOPICS.items()},
    **{name: getattr(lexicon, name) for name in lexicon.__all__ if isinstance(getattr(lexicon, name), str)},
}  # fmt: skip

ENTRY = re.compile(r"[\u3400-\u9fff]+|[^\W\d_]{3}[^\W\d_]*\*|[\^?]?[^\W\d_][^\W\d]*(?:[-'’/+][^\W\d]*)*")


@pytest.mark.parametrize("name", LISTS)
def test_entries_can_be_met(name: str) -> None:
    """Lower case as texts are looked at, no digit, at least three letters before a star."""
    entries = LISTS[name].split()
    assert [entry for entry in entries if not ENTRY.fullmatch(entry) or entry != entry.lower()] == []
    assert len(set(entries)) == len(entries)


def test_all_that_is_asked_or_counted_is_a_feature() -> None:
    assert set(NAMES) >= {*lexicon.ASKS, *lexicon.COUNTED}
    assert GROUPS["domain"] == tuple(f"about {topic}" for topic in lexicon.TOPICS)


@pytest.mark.parametrize("name", lexicon.ASKS)
def test_every_ask_is_known_in_chinese(name: str) -> None:
    """The document that the levels come from is in Chinese."""
    assert re.search("[\u3400-\u9fff]", lexicon.ASKS[name])
