"""What was handed on: the code, the tests and pytest's own words that stand in the data of a question or in itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .question import Question

__all__ = ["Failure", "Handed", "Outcome", "handed_on", "outcome_of", "syntax", "uncoloured"]

LONGEST_CODE = 50_000  # characters that are read as Python

_FENCE = re.compile(r"(`{3,})([^\s`]*)[^`]*\Z")
_PYTHON = {"python", "python3", "py"}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TEST = re.compile(r"^(?:async )?def test\w*\(", re.MULTILINE)
_DEFINES = re.compile(r"^(?:async )?(?:def|class) \w", re.MULTILINE)
_COUNTS = re.compile(r"(?<!\d)(\d+ (?:passed|failed|errors?|skipped)(?:, \d+ [a-z]+){0,9}) in \d")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (?:[^\s:]+::)?(\S+?)(?: - (.*))?$", re.MULTILINE)
_SHOWN = re.compile(r"^_+ (\S+) _+\n(?:(?!_+ |E ).*\n)*E +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """One test that failed, and what pytest says of it."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What pytest said: its counts as it wrote them, "4 passed, 1 failed", and the tests that failed."""

    counts: str
    failures: tuple[Failure, ...] = ()

    @property
    def passed(self) -> bool:
        return re.fullmatch(r"\d+ passed(?:, \d+ (?:skipped|warnings?|xfailed|deselected))*", self.counts) is not None


@dataclass(frozen=True, slots=True)
class Handed:
    """The newest code and tests, and by whom; ``outcome`` is None where nobody shows what pytest said."""

    code: str = ""
    coder: str = ""
    tests: str = ""
    tester: str = ""
    outcome: Outcome | None = None


def handed_on(question: Question) -> Handed:
    """What is there to work on: in the question first, then in its data, in which what comes later is newer."""
    code = coder = tests = tester = ""
    outcome = None
    for name, text in (("you", question.text), *((data.name, data.body) for data in question.data)):
        for block in _programs(text):
            if _TEST.search(block):
                tests, tester = block, name
            else:
                code, coder = block, name
        outcome = outcome_of(text) or outcome
    return Handed(code, coder, tests, tester, outcome)


def outcome_of(text: str) -> Outcome | None:
    """What pytest said last in a text; None where its counts are not in it."""
    text = uncoloured(text)
    counts = _COUNTS.findall(text)
    shown = {match[1]: match[2] for match in _SHOWN.finditer(text)}  # whole, where the summary cuts it to a line
    failures = {match[1]: shown.get(match[1], match[2] or "") for match in _FAILED.finditer(text)}
    return Outcome(counts[-1], tuple(Failure(*one) for one in failures.items())) if counts else None


def uncoloured(text: str) -> str:
    """Without the colours of a terminal, which ipykernel asks of all that it starts."""
    return _COLOUR.sub("", text)


def syntax(code: str) -> ast.Module | SyntaxError:
    """The code as a tree, or why it is no Python."""
    if len(code) > LONGEST_CODE:
        return SyntaxError(f"it has more than {LONGEST_CODE:,} characters")
    try:
        return ast.parse(code)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(str(error) or type(error).__name__)


def _programs(text: str) -> Iterator[str]:
    """The blocks of Python in a text, or all of it where it is nothing else."""
    for language, body in list(_blocks(text)) or [("", text)]:
        defines = _DEFINES.search(body)
        if defines and (language in _PYTHON or (not language and isinstance(syntax(body), ast.Module))):
            yield body.strip("\n")


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a text, each with what its fence calls it; one that is not closed was cut, and is none."""
    fence, language, body = "", "", list[str]()
    for line in text.split("\n"):
        mark = line.strip()
        if fence and mark.startswith(fence) and not mark.strip("`"):
            yield language, "\n".join(body)
            fence = ""
        elif fence:
            body.append(line)
        elif match := _FENCE.match(line):
            fence, language, body = match[1], match[2].lower(), []
