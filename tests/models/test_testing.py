"""The offline model as a tester with a tool that runs tests: what it asks for, and what it makes of what came."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openclaw_nb.ledger import Ledger
from openclaw_nb.models.base import Message, ModelEvent, ModelRequest, Stage, TextDelta, ToolCall, ToolDefinition
from openclaw_nb.models.offline import OfflineModel
from openclaw_nb.prompts import Data, Prompt

TESTER = "You test the code of this team."
CODE = "def slugify(text):\n    return text"
PROMPT = str(Prompt("implement slugify", (Data("coder", "answer", "9", f"```python\n{CODE}\n```"),)))
FAILED = "FAILED test_feature.py::test_a - assert 'a'\n1 failed, 4 passed in 0.01s"


def tool(*texts: str, name: str = "run", description: str = "", **others: Any) -> ToolDefinition:
    parameters: dict[str, Any] = {text: {"type": "string"} for text in texts} | others
    schema = {"type": "object", "properties": parameters, "required": list(texts)}
    return ToolDefinition(name, description, schema)


RUN = tool("code", "tests", description="The code is saved as shop.py, the tests as test_shop.py.")


def ask(
    *given: str, prompt: str = PROMPT, tools: tuple[ToolDefinition, ...] = (RUN,), told: str = TESTER, stage: Any = None
) -> list[ModelEvent]:
    """The events of the request that comes after these results."""
    ledger = Ledger("run")
    for number, result in enumerate(given):
        [entry] = ledger.ask(number, 0, [ToolCall("", "run", {})])
        ledger.end(entry, result, 0.0)
    asked: Message = {"role": "user", "content": prompt}
    stage = stage and Stage(stage, asked)
    request = ModelRequest((asked, *ledger.messages("")), told, level=1, tools=tools, stage=stage)

    async def once() -> list[ModelEvent]:
        return [event async for event in OfflineModel(0).stream(request)]

    return asyncio.run(once())


def text(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(events: list[ModelEvent]) -> list[ToolCall]:
    return [event for event in events if isinstance(event, ToolCall)]


def test_it_asks_for_a_run_of_that_very_code() -> None:
    events = ask()
    [call] = calls(events)
    assert call.name == "run"
    assert isinstance(call.arguments, dict)
    assert call.arguments["code"] == CODE
    assert call.arguments["tests"].startswith("from shop import slugify\n\n\ndef test_")
    assert text(events) == "I run tests of mine on coder's code.\n\n"


def test_green() -> None:
    events = ask("5 passed in 0.01s\n")
    assert calls(events) == []
    said = text(events)
    assert said.startswith("**5 passed**: the code does what these tests ask.\n\n```text\n5 passed in 0.01s\n```\n\n")
    assert "The tests:\n\n```python\nfrom shop import slugify\n\n\ndef test_words" in said


def test_red() -> None:
    said = text(ask(FAILED))
    assert said.startswith(
        "**1 failed, 4 passed**: the code does not do what these tests ask.\n\n- `test_a`: assert 'a'\n\n```text"
    )
    assert FAILED in said


@pytest.mark.parametrize("result", ["run failed: TimeoutExpired: 20 s", "no tests ran in 0.00s", ""])
def test_no_result_is_no_pass(result: str) -> None:
    said = text(ask(result))
    assert said.startswith("**The tests did not run to their end**")
    assert result in said
    assert "passed" not in said.partition("The tests:")[0]


def test_colours_are_left_out() -> None:
    said = text(
        ask("\x1b[31mFAILED\x1b[0m test_feature.py::\x1b[1mtest_a\x1b[0m - no\n\x1b[31m\x1b[1m1 failed\x1b[0m in 0.1s")
    )
    assert said.startswith("**1 failed**: the code does not do what these tests ask.\n\n- `test_a`: no")
    assert "\x1b" not in said


def test_the_end_of_a_long_result_is_shown() -> None:
    said = text(ask(f"{'x' * 50_000}\n```\n{FAILED}"))
    assert said.startswith("**1 failed, 4 passed**")
    assert "````text\n…xxx" in said
    assert len(said) < 6_000


@pytest.mark.parametrize(
    "right",
    [
        tool("source_code", "test_code"),
        tool("tests", "module"),
        tool("code", "tests", seconds={"type": "integer"}),
        tool("implementation", "pytests", name="anything"),
    ],
)
def test_tools_that_run_tests(right: ToolDefinition) -> None:
    [call] = calls(ask(tools=(tool("place"), right)))
    assert isinstance(call.arguments, dict)
    assert sorted(call.arguments) == sorted(right.schema["required"])
    [tests] = [value for value in call.arguments.values() if value != CODE]
    assert tests.startswith("from feature import slugify")


@pytest.mark.parametrize(
    "other",
    [
        tool("tests"),
        tool("code"),
        tool("code", "tests", "folder"),
        tool("code", tests={"type": "array"}),
        tool("place", "days"),
        tool(),
    ],
)
def test_tools_that_do_not(other: ToolDefinition) -> None:
    events = ask(tools=(other,))
    assert calls(events) == []
    assert "I have no tool that runs tests, so these were **not run**." in text(events)


@pytest.mark.parametrize(
    ("told", "prompt"),
    [
        ("You write the code.", PROMPT),
        ("You review.", PROMPT),
        (TESTER, "implement slugify"),
        (TESTER, str(Prompt("implement peace", (Data("coder", "answer", "9", "```python\ndef f(): ...\n```"),)))),
        (TESTER, "What is 2+2?"),
    ],
)
def test_who_runs_nothing(told: str, prompt: str) -> None:
    assert calls(ask(told=told, prompt=prompt)) == []


def test_code_is_never_run_by_the_model_itself() -> None:
    code = "```python\nraise SystemExit\n\n\ndef slugify(text):\n    return text\n```"
    [call] = calls(ask(prompt=str(Prompt("implement slugify", (Data("coder", "answer", "9", code),)))))
    assert isinstance(call.arguments, dict)
    assert call.arguments["code"].startswith("raise SystemExit")


@pytest.mark.parametrize(("stage", "again"), [("answer", False), ("repair", True)])
def test_a_repair_says_all_of_it(stage: str, again: bool) -> None:
    said = text(ask(FAILED, stage=stage))
    assert said.startswith("I run tests of mine on coder's code.") is again
    assert "**1 failed, 4 passed**" in said
