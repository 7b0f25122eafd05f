"""Finding: one sentence, with and without figures, and plain data, in none of which a secret stands."""

from __future__ import annotations

import json

import pytest

from openclaw_nb.doctor.finding import Finding, State, seconds

SLOW = Finding("link", State.LOOK, "it is slow", "P50 2.1 s", "come nearer", {"p50": 2.1})


def test_a_sentence() -> None:
    assert SLOW.sentence() == "it is slow: P50 2.1 s; come nearer"
    assert SLOW.sentence(measured=False) == "it is slow; come nearer"
    assert Finding("link", State.OK, "it is near").sentence() == "it is near"


def test_for_programs() -> None:
    told = json.loads(json.dumps(SLOW.told()))
    assert told == {
        "name": "link", "state": "look", "words": "it is slow", "measured": "P50 2.1 s", "remedy": "come nearer",
        "figures": {"p50": 2.1},
    }  # fmt: skip


def test_what_others_said_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-1234567890")
    hostile = Finding("link", State.BROKEN, "it says sk-1234567890\n\x1b[2J", "ws://user:pass1234@host")
    for said in (hostile.sentence(), json.dumps(hostile.told())):
        assert "sk-1234567890" not in said
        assert "pass1234" not in said
        assert "\n" not in said
        assert "\x1b" not in said


@pytest.mark.parametrize(
    ("value", "words"), [(0.00042, "0.4 ms"), (0.0349, "35 ms"), (2.12, "2.1 s"), (1234.4, "1,234 s")]
)
def test_durations(value: float, words: str) -> None:
    assert seconds(value) == words
