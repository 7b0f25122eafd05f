"""Writing, testing and reviewing: which part an agent has, and what the offline model says for it."""

from __future__ import annotations

import re
from typing import Literal

from ..prompts import fence_for
from .handed import Handed, handed_on
from .programs import PROGRAMS, Program, find_program
from .question import Question
from .reviewing import read

__all__ = ["MODULE", "Job", "announced", "answer", "answer_by_part", "fenced", "job_of", "known_tests"]

MODULE = "feature"
"""What the tests import, where nobody says how the code is saved."""

Job = Literal["write", "test", "review"]

_JOBS: dict[Job, str] = {
    "review": r"\breview",
    "test": r"\btest",
    "write": r"\b(?:cod(?:er|ing)|programm|develop|implement)|\bwrites? (?:the |some )?(?:code|program)",
}
_ASKED: dict[Job, str] = {"review": r"review\b", "test": r"(?:test|(?:write|add|run)\b.*\btests)\b"}
_CODE = re.compile(r"\b(?:code|function|program|class|script|module|implementation|feature|python)\b", re.IGNORECASE)
_TOLD = re.compile(r"[.!?\n]")


def job_of(question: Question) -> Job:
    """The part an agent has: by the first sentence of its instructions, else by how the question begins."""
    told = _TOLD.split(question.instructions.strip(), maxsplit=1)[0]
    found = [(match.start(), job) for job, pattern in _JOBS.items() if (match := re.search(pattern, told, re.I))]
    if found:
        return min(found)[1]
    return next((job for job, pattern in _ASKED.items() if re.match(pattern, question.text, re.I)), "write")


def answer(match: re.Match[str], question: Question) -> str | None:
    """What one part says alone; None where the sentence is about no code."""
    handed, job = handed_on(question), job_of(question)
    program = _program(question, handed)
    if program is None and not _CODE.search(match[0]) and not handed.code and not match[0].lower().startswith("impl"):
        return None
    if job == "review":
        return _review(handed)
    if job == "test":
        tests = known_tests(question, handed)
        return _untested(tests, handed) if tests else _unknown(match[0], "tests")
    return _written(program) if program else _unknown(match[0], "program")


def answer_by_part(match: re.Match[str], question: Question) -> str | None:
    """What a tester or reviewer says of the code that was handed on, whatever it was asked; None for all others."""
    has_work = job_of(question) != "write" and handed_on(question).code
    return answer(match, question) if has_work else None


def known_tests(question: Question, handed: Handed, module: str = MODULE) -> str:
    """The tests that were handed on, else those that are known for the task or for the code; "" where there are none.

    They import the code from ``module``.
    """
    program = _program(question, handed)
    if handed.tests or program is None:
        return handed.tests
    pytest = "import pytest\n\n" if "pytest." in program.tests else ""
    return f"{pytest}from {module} import {program.function}\n\n\n{program.tests}"


def announced(handed: Handed, tests: str) -> str:
    """What a tester says before it runs them."""
    whose = "tests of mine" if tests != handed.tests else _whose(handed.tester, "tests")
    return f"I run {whose} on {_whose(handed.coder, 'code')}.\n\n"


def fenced(code: str, language: str = "python") -> str:
    fence = fence_for(code)
    return f"{fence}{language}\n{code}\n{fence}"


def _program(question: Question, handed: Handed) -> Program | None:
    """The one the question names, or whose function is in the code."""
    defines = (one for one in PROGRAMS if re.search(rf"^def {one.function}\(", handed.code, re.MULTILINE))
    return find_program(question.text) or next(defines, None)


def _written(program: Program) -> str:
    known = f"I know a program for {program.name} by heart."
    return f"{known}\n\n{fenced(program.code)}\n\nAssumed: {program.assumes}."


def _untested(tests: str, handed: Handed) -> str:
    why = "I have no tool that runs tests" if handed.code else "I was given no code"
    return f"{why}, so these were **not run**.\n\n{fenced(tests)}"


def _review(handed: Handed) -> str:
    if not handed.code:
        return "I was given no code, so there is nothing to review yet. Verdict: not ready."
    reading = read(handed)
    whose = _whose(handed.coder, "code") + (f" and {_whose(handed.tester, 'tests')}" if handed.tests else "")
    lines = [*(f"**{_upper(line)}.**" for line in reading.wrong), *(f"{_upper(line)}." for line in reading.seen)]
    listed = "\n".join(f"{at}. {line}" for at, line in enumerate(lines, 1))
    verdict = f"not ready, because {reading.wrong[0].partition(';')[0]}" if reading.wrong else "ready"
    return f"I read {whose} with Python's own parser; what they mean I cannot judge.\n\n{listed}\n\nVerdict: {verdict}."


def _whose(name: str, what: str) -> str:
    return f"your {what}" if name == "you" else f"{name}'s {what}"


def _upper(line: str) -> str:
    return line[0].upper() + line[1:]


def _unknown(task: str, what: str) -> str:
    *names, last = (program.name for program in PROGRAMS)
    known = f"{', '.join(names)} and {last}"
    return (
        f"I know no {what} for this: I am the offline model of openclaw_nb, not a language model, and know by heart "
        f"only {known}. To have it done choose a model with `%openclaw model openai-chat:NAME` or `anthropic:NAME`."
    )
