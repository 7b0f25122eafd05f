"""What can be answered from the conversation itself: what was asked, and what the user said about themselves."""

from __future__ import annotations

import re

from .question import Question

__all__ = ["note_fact", "recall_fact", "recall_questions", "rest_of"]

SHOWN = 5  # questions
LONGEST = 200  # characters of each

_FACT = re.compile(r"\bmy (?P<key>\w[\w ]{0,40}?) is (?:called )?(?P<value>[^.!?\n]{1,80})", re.IGNORECASE)
_CALLED = re.compile(r"\bcall me (?P<value>[^.!?,\n]{1,80})", re.IGNORECASE)
_ASKS = re.compile(r"\?\s*$|^\s*(?:what|why|how|when|where|who|which|is|are|do|does|can|could)\b", re.IGNORECASE)


def recall_questions(match: re.Match[str], question: Question) -> str:
    """What was asked before: the first, the last, or the newest few."""
    asked = [text for text in question.asked if text]
    if not asked:
        return "You asked nothing before this in the session."
    if re.search(r"\bfirst\b", match[0], re.IGNORECASE):
        return f"You first asked:\n\n{_quote(asked[0])}"
    if len(asked) == 1 or re.search(r"\b(last|previous)\b", match[0], re.IGNORECASE):
        return f"Before this you asked:\n\n{_quote(asked[-1])}"
    more = f"The newest {SHOWN} of {len(asked)} questions" if len(asked) > SHOWN else "Your questions so far"
    lines = [f"{at}. {_short(text)}" for at, text in enumerate(asked, 1)][-SHOWN:]
    return f"{more}:\n\n" + "\n".join(lines)


def note_fact(match: re.Match[str], question: Question) -> str | None:
    """Confirms "my … is …"; there is nothing to store, since the session keeps every message."""
    facts = _facts(match[0])
    if not facts or _ASKS.search(match[0]):
        return None
    return " ".join(f"Noted: your {key} is {value}." for key, value in facts)


def recall_fact(match: re.Match[str], question: Question) -> str | None:
    """The newest "my … is …" that says what the sentence asks for; about data in the prompt it knows nothing."""
    wanted = " ".join(match["key"].casefold().split()) if match["key"] else "name"
    for text in reversed([*question.asked, question.text]):
        for key, value in reversed(_facts(text)):
            if key.casefold() == wanted:
                return f"Your {key} is {value}."
    return None if question.data else f"You have not told me your {wanted} in this session."


def rest_of(whole: str, shown: list[str]) -> str | None:
    """What is left of a text of which pieces were shown, perhaps without the space around them; None if they differ."""
    at = 0
    for piece in shown:
        at += len(whole[at:]) - len(whole[at:].lstrip()) if not piece[:1].isspace() else 0
        if not whole.startswith(piece, at):
            return None
        at += len(piece)
    return whole[at:]


def _facts(text: str) -> list[tuple[str, str]]:
    """Statements, in order; a question states nothing."""
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n", text):
        if not _ASKS.search(sentence):
            found += [(fact["key"], fact["value"].strip()) for fact in _FACT.finditer(sentence)]
            found += [("name", fact["value"].strip()) for fact in _CALLED.finditer(sentence)]
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _quote(text: str) -> str:
    return f"> {_short(text)}"
