"""The offline model as a tester: where there is code and a tool that runs tests, it runs them and says what came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .base import ModelRequest, ToolCall, ToolDefinition
from .coding import MODULE, announced, fenced, job_of, known_tests
from .handed import Outcome, handed_on, outcome_of, uncoloured
from .question import Question
from .tool_use import Use, given

__all__ = ["next_run"]

SHOWN = 4_000  # characters of what the tool gave

_CODE = re.compile(r"code|source|program|module|implementation", re.IGNORECASE)
_FILE = re.compile(r"\b(?!test_)([A-Za-z]\w*)\.py\b")


@dataclass(frozen=True, slots=True)
class _Runner:
    """A tool that takes code and tests, and the names of these two parameters."""

    tool: ToolDefinition
    code: str
    tests: str

    @property
    def module(self) -> str:
        """What it saves the code as, by the first file of Python that its description names."""
        match = _FILE.search(self.tool.description)
        return match[1] if match else MODULE


def next_run(question: Question, request: ModelRequest) -> Use | None:
    """The tests of a tester and the call that runs them, then what came of it; None where there is nothing to run."""
    runner = next(filter(None, map(_runner, request.tools)), None)
    if runner is None or job_of(question) != "test":
        return None
    handed = handed_on(question)
    tests = known_tests(question, handed, runner.module)
    if not handed.code or not tests:
        return None
    if results := given(request.messages):
        anew = request.stage is not None and request.stage.kind == "repair"  # else that was said before the call
        return Use((announced(handed, tests) if anew else "") + _told(results[-1], tests))
    call = ToolCall("", runner.tool.name, {runner.code: handed.code, runner.tests: tests})
    return Use(announced(handed, tests), call)


def _runner(tool: ToolDefinition) -> _Runner | None:
    texts = [name for name, schema in tool.schema["properties"].items() if schema.get("type") == "string"]
    tests = next((name for name in texts if "test" in name.lower()), None)
    code = next((name for name in texts if name != tests and _CODE.search(name)), None)
    if tests is None or code is None or not set(_required(tool)) <= {tests, code}:
        return None
    return _Runner(tool, code, tests)


def _required(tool: ToolDefinition) -> Sequence[str]:
    required: Sequence[str] = tool.schema.get("required", ())
    return required


def _told(result: str, tests: str) -> str:
    """What follows from what the tool gave, this itself, and the tests, which are the longest and come last."""
    result = uncoloured(result)
    outcome = outcome_of(result)
    shown = result.strip() if len(result) <= SHOWN else f"…{result[-SHOWN:]}"
    return f"{_judged(outcome)}\n\n{fenced(shown, 'text')}\n\nThe tests:\n\n{fenced(tests)}"


def _judged(outcome: Outcome | None) -> str:
    if outcome is None:
        return "**The tests did not run to their end**; this is what came instead of a result:"
    if outcome.passed:
        return f"**{outcome.counts}**: the code does what these tests ask."
    failed = "".join(f"\n- `{one.name}`{f': {one.why}' if one.why else ''}" for one in outcome.failures)
    return f"**{outcome.counts}**: the code does not do what these tests ask.\n{failed}".rstrip()
