"""dialogue: a conversation in saved form, harmless in each of its forms."""

from __future__ import annotations

import re

from openclaw_nb.dialogue import LONGEST, Said, dialogue, of_session

HOSTILE = '<img src=x onerror="alert(1)"> [x](javascript:alert(1)) \x1b[31m $a$ and $b$'


def test_who_said_what() -> None:
    forms = dialogue([Said("you", "hi", typed=True), Said("agent", "**bold**", ("mock-1", "$0.01"))], "session main")
    assert forms["text/plain"] == "session main\n\nyou\n  hi\n\nagent · mock-1 · $0.01\n  **bold**"
    assert "<strong>bold</strong>" in forms["text/html"]
    assert "**bold**" in forms["text/markdown"]


def test_what_was_typed_is_shown_letter_by_letter() -> None:
    forms = dialogue([Said("you", "**not bold**\n  x", typed=True)], "")
    assert "<strong>" not in forms["text/html"]
    assert "**not bold**\n  x" in forms["text/html"]


def test_thoughts_and_calls_are_folded() -> None:
    forms = dialogue([Said("agent", "done", folded=(("calls exec", '{"command": "ls"}'),))], "")
    assert "<summary>calls exec</summary>" in forms["text/html"]
    assert "(calls exec: {" in forms["text/plain"]


def test_nothing_hostile_gets_through() -> None:
    said = [
        Said(HOSTILE, HOSTILE, (HOSTILE,), typed=typed, folded=((HOSTILE, HOSTILE),)) for typed in (True, False)
    ]  # fmt: skip
    forms = dialogue(said, HOSTILE)
    assert "<img" not in forms["text/html"]
    outside = re.sub(r"(?ms)^```$.*?^```$", "", forms["text/markdown"])  # in a block of code it is shown as it is
    assert "&lt;img" in outside
    assert "<img" not in outside
    assert 'href="javascript' not in forms["text/html"]
    assert not [form for form in forms.values() if "\x1b" in form]


def test_a_message_is_shown_in_part_if_it_is_long() -> None:
    forms = dialogue([Said("agent", "x" * (LONGEST + 1_234))], "")
    assert "… 1,234 more characters" in forms["text/plain"]
    assert len(forms["text/plain"]) < LONGEST + 500


def test_the_messages_of_our_own_sessions() -> None:
    kept = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "**x**", "stopped": True}]
    assert [(one.who, one.text, one.typed) for one in of_session(kept)] == [
        ("you", "hi", True), ("agent, stopped", "**x**", False)
    ]  # fmt: skip
