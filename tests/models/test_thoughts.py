"""Thoughts in tags: split off whole or in pieces alike, and never found where there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.thoughts import TAGS, Thoughts

PIECES = st.lists(st.sampled_from([*TAGS, "<", ">", "</", "th", "ink>", "a", " ", "\n", "{", "é", "<b>"]), max_size=20)


def split(pieces: list[str], *, cut: bool = False) -> tuple[str, str]:
    """The thoughts and the answer of what comes in these pieces."""
    thoughts = Thoughts()
    given = [part for piece in pieces for part in thoughts.add(piece)] + thoughts.end(cut=cut)
    assert all(text for _, text in given), "nothing is given that is nothing"
    return tuple("".join(text for is_thought, text in given if is_thought is kind) for kind in (True, False))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>hm</think>42", "hm", "42"),
        ("\n <thinking>hm\n</thinking>\n\n42\n", "hm\n", "42\n"),
        ("<thought>hm</thought> 42", "hm", "42"),
        ("<thinking>hm</think>42", "hm", "42"),
        ("<think></think>42", "", "42"),
        ("<think>a<think>b</think>c</think>42", "abc", "42"),
        ("<think>a < b, x</y></think>42", "a < b, x</y>", "42"),
        ("42 <think>no</think>", "", "42 <think>no</think>"),
        ("</think>42", "", "</think>42"),
        ("<b>42</b>", "", "<b>42</b>"),
        ("<thinks>42", "", "<thinks>42"),
        ("<thin", "", "<thin"),
        ("  ", "", "  "),
        ("", "", ""),
        ("<think>hm</think>42 <think>no</think>", "hm", "42 <think>no</think>"),
        ("<think>hm</think>", "hm", ""),
    ],
)
def test_thoughts_and_answer(text: str, thought: str, answer: str) -> None:
    assert split([text]) == (thought, answer)
    assert split(list(text)) == (thought, answer)


def test_never_closed_it_is_the_answer_too() -> None:
    assert split(["<think>the answer", " is 42"]) == ("the answer is 42", "the answer is 42")
    assert split(["<think>the <think> tag</think> is closed. 42"]) == ("the  tag is closed. 42", "is closed. 42")
    assert split(["<think>I am still at </thi"]) == ("I am still at </thi", "I am still at </thi")


def test_cut_before_it_was_closed_it_is_thought_alone() -> None:
    assert split(["<think>the answer"], cut=True) == ("the answer", "")
    assert split(["<think>the answer</th"], cut=True) == ("the answer</th", "")


def test_it_is_done_as_soon_as_the_answer_has_begun() -> None:
    thoughts = Thoughts()
    thoughts.add("<think>hm</think>\n")
    assert not thoughts.done
    assert thoughts.add("4") == [(False, "4")]
    assert thoughts.done
    plain = Thoughts()
    assert plain.add("The") == [(False, "The")]
    assert plain.done


@given(PIECES, st.booleans())
def test_however_it_is_cut(pieces: list[str], cut: bool) -> None:
    whole = split(["".join(pieces)], cut=cut)
    assert split(pieces, cut=cut) == whole
    assert split(list("".join(pieces)), cut=cut) == whole


@given(PIECES)
def test_what_begins_with_no_tag_is_as_it_came(pieces: list[str]) -> None:
    text = "x" + "".join(pieces)
    assert split(["x", *pieces]) == ("", text)


@given(st.text(st.characters(exclude_characters="<")), st.text(min_size=1))
def test_nothing_is_lost(thought: str, answer: str) -> None:
    assert split([f"<think>{thought}</think>{answer}"]) == (thought, answer.lstrip())


@given(PIECES)
def test_little_is_held_back(pieces: list[str]) -> None:
    thoughts = Thoughts()
    given_ = sum(len(text) for _, text in thoughts.add("<think>" + "".join(pieces)))
    assert thoughts.done or len(thoughts._held) < max(map(len, TAGS)), given_
