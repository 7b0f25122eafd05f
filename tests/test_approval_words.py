"""What is to be run, shown so that nothing of it hides, and what was decided, in words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.approval_words import decided, left, one_line, step_of, visible
from openclaw_nb.events import Approval


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("echo hi", "echo hi"),
        ("for i in 1 2\ndo\n\techo $i\ndone", "for i in 1 2\ndo\n\techo $i\ndone"),
        ("echo \x1b[8mhidden\x1b[0m", "echo ⟨ESC⟩[8mhidden⟨ESC⟩[0m"),
        ("rm a\rls  ", "rm a⟨CR⟩ls  "),
        ("ls \x00\x07\x08\x7f\x9b", "ls ⟨NUL⟩⟨BEL⟩⟨BS⟩⟨DEL⟩⟨U+009B⟩"),
        ("cat \u202etxt.exe\u2066", "cat ⟨U+202E⟩txt.exe⟨U+2066⟩"),
        ("a\u200b\u200b\u200bb\ufeff", "a⟨U+200B × 3⟩b⟨U+FEFF⟩"),
        ("a\u00a0b\u3000c\u2028d", "a⟨U+00A0⟩b⟨U+3000⟩c⟨U+2028⟩d"),
        ("x\u2800y\u3164z\ufe0f\U000e0041", "x⟨U+2800⟩y⟨U+3164⟩z⟨U+FE0F⟩⟨U+E0041⟩"),
        ("lone \ud800", "lone ⟨U+D800⟩"),
        ("ls" + " " * 3000 + "; rm -rf ~", "ls⟨3,000 spaces⟩; rm -rf ~"),
        ("ls" + "\n" * 500 + "rm -rf ~", "ls\n⟨499 empty lines⟩\nrm -rf ~"),
        ("ls\n\n\nls", "ls\n\n\nls"),
        ("echo é 日本 שלום 🐍", "echo é 日本 שלום 🐍"),
    ],
)
def test_everything_is_seen(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_no_text_hides_anything(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert all(c in "\n\t" or (c.isprintable() and unicodedata.category(c) != "Cf") for c in shown)
    assert not set("\u3164\u2800\ufe0f") & set(shown)


@given(st.text(st.characters(categories=["L", "N", "P", "Sc", "Sm"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_what_is_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_long_one_takes_no_long_time() -> None:
    for noise in ("\u200b", "\u200b\u200c", " \n", "\n", " ", "\t ", "\x1b"):
        assert visible(noise * 50_000)


def test_one_line() -> None:
    assert one_line("for i in 1 2\ndo  \n\n\techo $i\ndone\n") == "for i in 1 2 ↵ do ↵ echo $i ↵ done"
    assert one_line("\x1b[2J") == "⟨ESC⟩[2J"
    assert one_line("x" * 1300) == "x" * 300 + "… (1,000 more characters)"


@pytest.mark.parametrize(
    ("decision", "by", "words"),
    [
        ("allow-once", "", "allowed once"),
        ("allow-once", "cli", "allowed elsewhere"),
        ("deny", "", "denied"),
        ("deny", "cli", "denied elsewhere"),
        ("expired", "", "expired"),
        ("allow-always", "cli", "allowed elsewhere, from now on"),
        (None, "", "not decided"),
        ("whatever", "", "not decided"),
    ],
)
def test_what_was_decided(decision: str | None, by: str, words: str) -> None:
    approval = Approval("a", "exec", "echo hi\nls", decision=decision, by=by)
    assert decided(approval) == step_of(approval).title == words
    assert step_of(approval).text == "echo hi ↵ ls"


@pytest.mark.parametrize(
    ("seconds", "words"), [(1800, "30 min left"), (90, "2 min left"), (89, "89 s left"), (0.2, "0 s left")]
)
def test_the_time_that_is_left(seconds: float, words: str) -> None:
    assert left(seconds) == words
