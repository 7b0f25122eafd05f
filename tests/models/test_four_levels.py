"""The same question at the four levels, on the offline model and on a mock of each provider: what each level does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from openclaw_nb import models
from openclaw_nb.answers import stages
from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Result
from tests.asking import VENDORS
from tests.mock_server import Mock
from tests.models.test_asking import thinking_in

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of models that think by a budget
]

LEVELS = (1, 2, 3, 4)
QUESTION = "what is 17*23?"
INTERVAL = 0.002  # seconds between two tokens of a mock

STEPS = {
    1: [], 2: ["thinking"], 3: ["draft", "check"],
    4: [*(f"{kind} {n}" for n in (1, 2, 3) for kind in ("candidate", "check")), "join", "check of the join"],
}  # fmt: skip
"""Of a model that thinks by itself; any other makes a plan first, from level 3 on."""

PROVIDERS = [
    ("openai", "openai-chat:gpt-5-mini"),
    ("openai", "openai-chat:gpt-4o"),
    ("responses", "openai:gpt-5.1"),
    ("anthropic", "anthropic:claude-sonnet-4-5"),
    ("google", "google:gemini-2.5-flash"),
]
UNTHINKING = "openai-chat:gpt-4o"


DEPTHS = (('"low"', "2048"), ('"medium"', "10000", "8192"), ('"high"', "16384", "24576"))
"""How the settings of levels 2 to 4 can be told."""


def said(body: dict[str, Any]) -> list[str]:
    """What a model says to a request, of whichever provider: it is told in words what is to be done."""
    told = json.dumps(body)
    if stages.PLAN in told:
        return ["1. multiply; "] * 10
    if stages.CHECK.partition(":")[0] in told:
        return [*(["recomputed "] * 8), "\nVERDICT: pass"]
    if stages.ALOUD in told:
        return ["<think>", *(["well "] * 10), "</think>", *(["391 "] * 20)]
    return ["391 "] * 20


def thoughts(mock: Mock, body: dict[str, Any]) -> list[str]:
    """More of them, the more is asked for."""
    asked = json.dumps(thinking_in(mock, body))
    deep = next((n for n, words in enumerate(DEPTHS, 1) if any(word in asked for word in words)), 0)
    return ["hm "] * (12 * deep)


async def at_each_level(model: str, resolved: Any) -> list[Result]:
    results = []
    async with Gateway(model=resolved) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        await client.send("the first use imports much", level=1, session="first")
        for level in LEVELS:
            results.append(await client.send(QUESTION, level=level, session=f"level {level}"))
    if hasattr(resolved, "aclose"):
        await resolved.aclose()
    return results


def steps_of(result: Result) -> list[str]:
    return [step.key for step in result.steps if step.key != "load"]


def row(name: str, result: Result, requests: str) -> str:
    steps = ", ".join(key for key in steps_of(result) if not key.endswith(", thinking")) or "no step"
    used = f"{result.usage.input_tokens} + {result.usage.output_tokens} tokens"
    cost = "free" if not result.cost else f"${result.cost:.6f}"
    loading = sum(step.seconds or 0 for step in result.steps if step.key == "load")
    return f"{name} at level {result.level}: {steps}; {requests}{used}, {result.seconds - loading:.2f} s, {cost}"


@pytest.mark.parametrize(("vendor", "name"), PROVIDERS)
def test_the_same_question_at_each_level(
    answering: Callable[..., Mock], vendor: str, name: str, figure: Callable[[str, str], None]
) -> None:
    mock = answering(VENDORS[vendor], tokens=said, thinking=lambda body: thoughts(mock, body), interval=INTERVAL)
    results = asyncio.run(at_each_level(name, models.resolve(name)))
    plan = ["plan"] if name == UNTHINKING else []
    bodies = iter(mock.bodies[1:])
    settings: list[str] = []
    for level, result in zip(LEVELS, results, strict=True):
        steps = [key for key in steps_of(result) if not key.endswith(", thinking")]
        assert steps == [*(plan if level > 2 else []), *STEPS[level]]
        assert result.level == level
        assert result.strip() == " ".join(["391"] * 20), "the answer part is clean"
        asked = [next(bodies) for _ in range(max(1, len(steps)) if level > 2 else 1)]
        [setting] = {json.dumps(thinking_in(mock, body), sort_keys=True) for body in asked}
        settings.append(setting)
        short = setting.translate(str.maketrans("", "", '{}"'))
        count = f"{len(asked)} request{'s' if len(asked) > 1 else ''}"
        figure("issue 5 levels", row(name, result, f"{count} ({short or 'nothing of thinking'}), "))
        for step in result.steps:
            assert step.seconds is not None
            assert step.tokens > 0 or step.key == "load"
        assert not result.usage.estimated
    assert next(bodies, None) is None
    if name == UNTHINKING:
        assert settings == ["{}"] * 4, "it is told in words alone"
        assert [stages.ALOUD in json.dumps(body) for body in mock.bodies[1:3]] == [False, True]
    else:
        assert len(set(settings)) == 4, "each level sets its own"
    costs = [result.cost for result in results]
    assert None not in costs
    assert costs == sorted(set(costs)), "each costs more than the one before"  # type: ignore[type-var]
    tokens = [result.usage.output_tokens for result in results]
    assert tokens == sorted(set(tokens))


def test_on_the_offline_model(figure: Callable[[str, str], None]) -> None:
    results = asyncio.run(at_each_level("offline", models.resolve("offline:2000")))
    for level, result in zip(LEVELS, results, strict=True):
        assert steps_of(result) == [*(["plan"] if level > 2 else []), *STEPS[level]]
        assert "391" in result
        assert not result.cost
        figure("issue 5 levels", row("offline", result, ""))
    tokens = [result.usage.output_tokens for result in results]
    assert tokens == sorted(set(tokens)), "each does more than the one before"
