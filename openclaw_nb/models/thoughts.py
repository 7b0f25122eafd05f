"""Thoughts in tags at the beginning of an answer, as servers of open models send them, split off while it streams."""

from __future__ import annotations

import re

__all__ = ["Thoughts"]

NAMES = ("think", "thinking", "thought")
OPENING = tuple(f"<{name}>" for name in NAMES)
TAGS = (*OPENING, *(f"</{name}>" for name in NAMES))

_TAG = re.compile(rf"<(/?)(?:{'|'.join(NAMES)})>")


class Thoughts:
    """Takes an answer in pieces, cut anywhere, and gives each as (is thought, text).

    Only a tag that the answer begins with opens thoughts, so one that is talked about does not; within, tags nest.
    Once ``done`` the rest is the answer, and need not come here.
    """

    def __init__(self) -> None:
        self.done = False
        self._depth = 0
        self._after = False  # the thoughts are over, the answer has not begun
        self._held = ""  # may be the beginning of a tag
        self._unclosed: list[str] = []  # what came since a tag last closed

    @classmethod
    def answer_of(cls, text: str) -> str:
        """An answer that is all there, without its thoughts."""
        thoughts = cls()
        return "".join(said for is_thought, said in thoughts.add(text) + thoughts.end() if not is_thought)

    def add(self, text: str) -> list[tuple[bool, str]]:
        """What is known of the text held back and this piece."""
        if self.done:
            return [(False, text)] if text else []
        text, self._held = self._held + text, ""
        if self._after:
            return self._answer(text)
        if self._depth == 0:
            return self._begin(text)
        return self._within(text)

    def end(self, *, cut: bool = False) -> list[tuple[bool, str]]:
        """What was held back. Thoughts that were never closed are the answer too, unless it was ``cut`` before that."""
        held, self._held, self.done = self._held, "", True
        if self._depth == 0:
            return [(False, held)] if held and not self._after else []
        given = [(True, held)] if held else []
        answer = ("".join(self._unclosed) + held).strip()
        return given if cut or not answer else [*given, (False, answer)]

    def _begin(self, text: str) -> list[tuple[bool, str]]:
        stripped = text.lstrip()
        if opening := _TAG.match(stripped):
            if not opening[1]:
                self._depth = 1
                return self._within(stripped[opening.end() :])
        elif any(tag.startswith(stripped) for tag in OPENING):
            self._held = text
            return []
        self.done = True
        return [(False, text)]

    def _within(self, text: str) -> list[tuple[bool, str]]:
        given: list[tuple[bool, str]] = []
        at = 0
        for tag in _TAG.finditer(text):
            self._think(text[at : tag.start()], given)
            at = tag.end()
            if tag[1]:
                self._unclosed.clear()
            self._depth += -1 if tag[1] else 1
            if self._depth == 0:
                self._after = True
                return given + self._answer(text[at:])
        held = _beginning_of_tag(text, at)
        self._think(text[at:held], given)
        self._held = text[held:]
        return given

    def _think(self, text: str, given: list[tuple[bool, str]]) -> None:
        if text:
            given.append((True, text))
            self._unclosed.append(text)

    def _answer(self, text: str) -> list[tuple[bool, str]]:
        """The blank lines between thoughts and answer belong to neither."""
        text = text.lstrip()
        self.done = bool(text)
        return [(False, text)] if text else []


def _beginning_of_tag(text: str, start: int) -> int:
    """Where a tag may begin that is not all there, or the end of the text."""
    at = text.rfind("<", start)
    return at if at >= 0 and any(tag.startswith(text[at:]) for tag in TAGS) else len(text)
