"""The offline model's steps at levels 3 and 4: a plan, candidates, the check of a draft, the choice of the best."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from . import commands
from .calculator import Number
from .drafts import agrees, equations, numbers, same_numbers, shape, signed_numbers, unmarked
from .evidence import Evidence, evidence, method
from .question import Question
from .skills import Answer, answer

__all__ = ["Review", "Work"]

LONGEST_QUOTE = 80  # characters of a line in an objection
MOST_OBJECTIONS = 8
NEARLY = 10  # characters that the beginnings of two lines share where one is the other with an error in it

_CLOSING = {commands.NO_ANSWER, commands.SO_FAR}
_LISTED = re.compile(r"^\s*\d+[.)]\s+(.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_VALUED = ("arithmetic", "units")


@dataclass(frozen=True, slots=True)
class Review:
    """What a check found: ``lines`` say what was verified, ``objections`` what is wrong."""

    lines: tuple[str, ...]
    objections: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.objections

    def __str__(self) -> str:
        listed = [f"{at}. {line}." for at, line in enumerate(self.lines, 1)]
        more = len(self.objections) - MOST_OBJECTIONS
        wrong = [f"- Wrong: {objection}." for objection in self.objections[:MOST_OBJECTIONS]]
        rest = [f"- … and {more} more."] if more > 0 else []
        return "\n".join([*listed, *wrong, *rest, f"VERDICT: {'pass' if self.passed else 'fail'}"])


@dataclass
class Work:
    """All that is done for one question; ``found`` is what tools gave, ``tools`` says that it asks for some."""

    question: Question
    reply: Answer
    plan: str = ""
    found: str = ""
    tools: bool = False
    _seen: dict[str, Review] = field(default_factory=dict, repr=False)

    # -- the steps -------------------------------------------------------------------------------

    def planned(self) -> str:
        """The plan: a line for each part, how it is answered and how that is verified."""
        return "\n".join(f"{at}. {line}" for at, line in enumerate(self._steps, 1))

    def candidate(self, number: int) -> str:
        """The answer by one way or another, told apart by ``number`` from 1; the first is the reply itself."""
        if number == 1 or self._is_told:
            return self.reply.text
        texts = [one.texts[(number - 1) % len(one.texts)] for one in self.evidence]
        closing = [text for text in _CLOSING if self.reply.text.endswith(text)]
        return "\n\n".join([*dict.fromkeys(texts), *closing])

    def repaired(self, drafts: Sequence[str]) -> str:
        """An answer that stands a check and is none of ``drafts``, where there is one."""
        mine = [self.candidate(number) for number in (1, 2, 3)]
        return next((text for text in mine if text not in drafts and self.check(text).passed), mine[0])

    def joined(self, drafts: Sequence[str]) -> str:
        """The first of the drafts that stands a check, or else an answer that does."""
        return next((draft for draft in drafts if self.check(draft).passed), "") or self.repaired(drafts)

    def check(self, draft: str) -> Review:
        """The draft against the question and the plan: each part computed again, each number accounted for."""
        if draft not in self._seen:
            self._seen[draft] = self._check(draft)
        return self._seen[draft]

    # -- what is known ---------------------------------------------------------------------------

    @property
    def _is_told(self) -> bool:
        """Whether the answer is what tools gave, and nothing else."""
        return self.tools or bool(self.found)

    @property
    def _steps(self) -> list[str]:
        if self._is_told:
            return [
                "Use the tools that the message names, in its order, and tell what they give; verify that it is told."
            ]
        steps = [method(part) for part in self.reply.parts]
        left = ", ".join(f"`{_short(sentence)}`" for sentence in self.reply.open)
        if left or not steps:
            steps.append(f"No fixed skill answers {left or 'this'}; say so.")
        return steps

    @cached_property
    def evidence(self) -> list[Evidence]:
        """What can be shown for each part of the question, and for each that only the plan names."""
        if self._is_told:
            return []
        again = {part.asked: part.text for part in answer(self.question).parts}
        mine = [evidence(part, self.question, again.get(part.asked, "")) for part in self.reply.parts]
        for code in _CODE.findall("\n".join(self._foreign)):
            extra = [part for part in answer(Question(code)).parts if part.skill in _VALUED and part.asked not in again]
            mine += [evidence(part, self.question, part.text) for part in extra]
        return mine

    @property
    def _foreign(self) -> list[str]:
        """Lines of the plan that are none of ours."""
        return [line for line in _LISTED.findall(self.plan) if line not in self._steps]

    @cached_property
    def _lines(self) -> dict[str, str]:
        """Every line of a right answer, and its shape."""
        texts = [text for one in self.evidence for text in one.texts]
        known = _split("\n".join([*texts, *_CLOSING, self.found]))
        told = [f"It gives: {line.partition(' gave: ')[2] or line}" for line in _split(self.found)]
        return {line: shape(line) for line in [*known, *told]}

    @cached_property
    def _numbers(self) -> set[Fraction]:
        """Numbers that a draft may hold: those of the question, of its data and of right answers."""
        texts = [self.question.text, self.found, *self._lines, *(data.body for data in self.question.data)]
        return {Fraction(number) for text in texts for number in numbers(text)}

    # -- the check -------------------------------------------------------------------------------

    def _check(self, draft: str) -> Review:
        if not draft.strip():
            return Review((), ("the draft is empty",))
        lines = _split(draft)
        unknown = [line for line in dict.fromkeys(lines) if line not in self._lines]
        wrong: list[str] = []
        wrong += self._objections(unknown, set(lines))
        wrong += [missing for one in self.evidence if (missing := self._missing(one, lines, unknown))]
        wrong += self._unsaid(lines, unknown)
        told = [str(one) for one in self.evidence]
        if not self.evidence and not self._is_told and not unknown:  # another draft would say it again
            told.append("none of the fixed skills fits the question, and the draft says so")
        told += [
            f"`{_short(line)}` of the plan: cannot be verified here" for line in self._foreign if not _CODE.search(line)
        ]
        told += [f"`{_short(sentence)}`: cannot be verified here" for sentence in self.reply.open]
        if self._is_told:
            gave = [line.partition(" gave: ") for line in _split(self.found) if " gave: " in line]
            said = "\n".join(lines)
            wrong += [
                f"what {call} gave, {_short(result)}, is not told" for call, _, result in gave if result not in said
            ]
            told.append("What the tools gave is told" if gave else "What the tools gave cannot be verified here")
        elif not self.evidence and unknown:
            told.append("The draft cannot be verified here")
        return Review(tuple(told), tuple(dict.fromkeys(wrong)))

    def _objections(self, unknown: Sequence[str], said: set[str]) -> list[str]:
        """What is wrong with lines that no right answer has."""
        accounted = set(self._numbers)
        wrong = []
        for line in unknown:
            mine = shape(line)
            alike = [known for known, form in self._lines.items() if form == mine and "#" in form]
            if alike and not any(same_numbers(line, known) for known in alike):
                left = [known for known in alike if known not in said]
                wrong.append(_differs(line, (left or alike)[0]))
                continue
            for equation in equations(line):
                if equation.holds:
                    accounted |= {Fraction(number) for number in numbers(f"{equation.left} {equation.right}")}
                else:
                    wrong.append(f"{equation.left} is {equation.value}, and the draft says {equation.right}")
            if self.evidence:
                strays = [n for n in numbers(unmarked(line)) if Fraction(n) not in accounted and not self._is_result(n)]
                wrong += [f"{stray} in “{_short(line)}” comes from nowhere" for stray in strays]
        return wrong

    def _is_result(self, number: str) -> bool:
        return any(one.value is not None and agrees(number, _size(one.value)) for one in self.evidence)

    def _missing(self, one: Evidence, lines: Sequence[str], unknown: Sequence[str]) -> str:
        """What the draft lacks of a part, or "" where it has it."""
        if one.value is None:
            wanted = _split(one.texts[0])
            gone = next(iter(Counter(wanted) - Counter(lines)), None)
            if gone is None:
                return "" if one.holds else f"{one}"
            spoiled = _nearest(unknown, gone)
            missing = f"{one.name} is not answered in full: “{_short(gone)}” is missing"
            return _differs(spoiled, gone) if spoiled else missing
        results = {_split(text)[0] for text in one.texts}
        if results & set(lines) or any(_holds(line, one) for line in unknown):
            return "" if one.holds else f"{one}"
        return f"{one.name} {one.result} is not in the draft"

    def _unsaid(self, lines: Sequence[str], unknown: Sequence[str]) -> list[str]:
        """That a sentence is left open has to be said, where nothing in the draft may be an answer to it."""
        closing = next((text for text in _CLOSING if self.reply.text.endswith(text)), None)
        if closing is None or closing in lines:
            return []
        if spoiled := _nearest(unknown, closing):
            return [_differs(spoiled, closing)]
        left = next(iter(self.reply.open), self.question.text)
        return [] if unknown else [f"it is not said that `{_short(left)}` is left open"]


def _nearest(lines: Sequence[str], known: str) -> str:
    """The line that is the known one with an error in it, or ""."""
    nearest = max(lines, key=lambda line: _shared(line, known), default="")
    return nearest if _shared(nearest, known) >= NEARLY else ""


def _holds(line: str, one: Evidence) -> bool:
    """Whether a line has the number of a part, with its sign."""
    value = one.value
    if value is None:
        return False
    return any((value < 0) == negative and agrees(number, _size(value)) for number, negative in signed_numbers(line))


def _size(value: Number) -> Number:
    return value if value >= 0 else -value


def _split(text: str) -> list[str]:
    """The lines that say something, white space apart."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _short(line: str) -> str:
    line = line.replace("`", "")
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 1]}…"


def _shared(line: str, other: str) -> int:
    """Characters that their beginnings share."""
    pairs = enumerate(zip(line, other, strict=False))
    return next((at for at, (one, another) in pairs if one != another), min(len(line), len(other)))


def _differs(line: str, known: str) -> str:
    """Where a line first differs from the right one, with a little of what stands around it."""
    at = max(0, _shared(line, known) - LONGEST_QUOTE // 2)
    dots = "…" if at else ""
    return f"“{dots}{_short(line[at:])}” should be “{dots}{_short(known[at:])}”"
