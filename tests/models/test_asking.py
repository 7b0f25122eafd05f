"""What reaches each provider of a level and of a limit: the JSON of the requests that real servers got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from openclaw_nb.events import Usage
from openclaw_nb.models.base import Loading, Message, ModelRequest, Thinking
from openclaw_nb.models.providers import ProviderModel
from tests.asking import HELLO, VENDORS, ask, collect, provider, text_of, thought_of
from tests.mock_server import Mock

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of models that think by a budget
]

Answering = Callable[..., Mock]


def effort(name: str) -> dict[str, Any]:
    return {"reasoning_effort": name}


def enabled(budget: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def adaptive(effort: str) -> dict[str, Any]:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def level(name: str) -> dict[str, Any]:
    return {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": name}}


def budget(tokens: int) -> dict[str, Any]:
    return {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": tokens}}


OFF: dict[str, Any] = {}
NONE = [OFF] * 4
LEAST = {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}

LEVELS = {
    # thinks where it is asked to
    ("openai", "openai-chat:gpt-5.1"): [effort(name) for name in ("none", "low", "medium", "high")],
    ("responses", "openai:gpt-5.1"): [{"reasoning": {"effort": name}} for name in ("none", "low", "medium", "high")],
    ("anthropic", "anthropic:claude-sonnet-4-5"): [OFF, enabled(2048), enabled(10000), enabled(16384)],
    ("anthropic", "anthropic:claude-sonnet-4-6"): [OFF, adaptive("low"), adaptive("medium"), adaptive("high")],
    ("google", "google:gemini-3-flash-preview"): [LEAST, level("LOW"), level("MEDIUM"), level("HIGH")],
    ("google", "google:gemini-2.5-flash"): [
        {"thinkingConfig": {"thinkingBudget": 0}}, budget(2048), budget(8192), budget(24576),
    ],
    # thinks unless it is asked not to
    ("anthropic", "anthropic:claude-opus-5"): [
        {"thinking": {"type": "disabled"}}, adaptive("low"), adaptive("medium"), adaptive("high"),
    ],
    # always thinks
    ("openai", "openai-chat:gpt-5"): [effort(name) for name in ("minimal", "low", "medium", "high")],
    ("openai", "openai-chat:o3"): [effort(name) for name in ("low", "low", "medium", "high")],
    ("responses", "openai:o3"): [{"reasoning": {"effort": name}} for name in ("low", "low", "medium", "high")],
    ("anthropic", "anthropic:claude-opus-5-5"): [adaptive(name) for name in ("low", "low", "medium", "high")],
    ("google", "google:gemini-2.5-pro"): [
        {"thinkingConfig": {"thinkingBudget": 128}}, budget(2048), budget(8192), budget(24576),
    ],
    # cannot
    ("openai", "openai-chat:gpt-4o"): NONE,
    ("openai", "openai-chat:some-open-model"): NONE,
    ("responses", "openai:gpt-4o"): NONE,
    ("anthropic", "anthropic:claude-3-5-haiku-latest"): NONE,
    ("google", "google:gemini-2.0-flash"): NONE,
}  # fmt: skip

SETTINGS = ("reasoning_effort", "reasoning", "thinking", "output_config", "thinkingConfig")


def thinking_in(mock: Mock, body: dict[str, Any]) -> dict[str, Any]:
    """What a request says of thinking, whoever it was for."""
    settings = mock.settings(body)
    return {name: settings[name] for name in SETTINGS if settings.get(name)}


@pytest.mark.parametrize(("vendor", "name"), LEVELS)
def test_levels_as_they_reach_the_provider(
    answering: Answering, vendor: str, name: str, figure: Callable[[str, str], None]
) -> None:
    mock = answering(VENDORS[vendor], tokens=2)

    async def each_level() -> list[str]:
        async with provider(name) as model:
            assert await model.thinks() is (LEVELS[vendor, name] is not NONE)
            asked = [ModelRequest(HELLO.messages, level=level) for level in (1, 2, 3, 4)]
            return [text_of(await collect(model, request)) for request in asked]

    assert asyncio.run(each_level()) == [mock.text] * 4, "and it took them all"
    seen = [thinking_in(mock, body) for body in mock.bodies]
    assert seen == LEVELS[vendor, name]
    if seen != NONE:
        figure("issue 5 levels", f"{name} at levels 1 to 4: {'; '.join(map(_short, seen))}")


def _short(settings: dict[str, Any]) -> str:
    return str(settings).translate(str.maketrans("", "", "{}'")) or "nothing"


def test_is_loading_and_thinking() -> None:
    model = ProviderModel("openai-chat:gpt-4o")
    assert isinstance(model, Loading)
    assert isinstance(model, Thinking)


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "name", "where"),
    [
        ("openai", "openai-chat:gpt-4o", "max_completion_tokens"),
        ("responses", "openai:gpt-4o", "max_output_tokens"),
        ("anthropic", "anthropic:claude-sonnet-4-5", "max_tokens"),
        ("google", "google:gemini-3-flash-preview", "maxOutputTokens"),
    ],
)
def test_a_limit_is_kept_to(answering: Answering, vendor: str, name: str, where: str) -> None:
    mock = answering(VENDORS[vendor], tokens=50)
    events = ask(ModelRequest(HELLO.messages, level=1, max_tokens=20), name=name)
    assert mock.settings(mock.bodies[0])[where] == 20
    assert text_of(events).split() == [f"token{n}" for n in range(20)], "it ends, and that is no failure"
    assert events[-1] == Usage(2, 20)


def test_the_least_limit_of_responses(answering: Answering) -> None:
    """OpenAI refuses less there; who sets a limit stops at it, too."""
    mock = answering(VENDORS["responses"], tokens=50)
    ask(ModelRequest(HELLO.messages, max_tokens=3), name="openai:gpt-4o")
    assert mock.bodies[0]["max_output_tokens"] == 16


@pytest.mark.parametrize(
    ("name", "level", "limit", "thinking"),
    [
        ("anthropic:claude-sonnet-4-5", 4, None, enabled(16384)),
        ("anthropic:claude-sonnet-4-5", 4, 30_000, enabled(16384)),
        ("anthropic:claude-sonnet-4-5", 4, 16_384, enabled(12_288)),
        ("anthropic:claude-sonnet-4-5", 2, 4_000, enabled(2048)),
        ("anthropic:claude-sonnet-4-5", 2, 1_400, enabled(1050)),
        ("anthropic:claude-sonnet-4-5", 4, 1_365, OFF),
        ("anthropic:claude-sonnet-4-5", 4, 10, OFF),
        ("anthropic:claude-sonnet-4-6", 4, 10, adaptive("high")),
    ],
)
def test_a_thinking_budget_leaves_room_for_an_answer(
    answering: Answering, name: str, level: int, limit: int | None, thinking: dict[str, Any]
) -> None:
    mock = answering(VENDORS["anthropic"], tokens=2)
    assert text_of(ask(ModelRequest(HELLO.messages, level=level, max_tokens=limit), name=name)) == mock.text
    assert thinking_in(mock, mock.bodies[0]) == thinking


@pytest.mark.parametrize(("limit", "tokens"), [(1000, 750), (100_000, 8192)])
def test_so_does_one_of_google(answering: Answering, limit: int, tokens: int) -> None:
    mock = answering(VENDORS["google"], tokens=2)
    ask(ModelRequest(HELLO.messages, level=3, max_tokens=limit), name="google:gemini-2.5-flash")
    assert thinking_in(mock, mock.bodies[0]) == budget(tokens)


def test_thoughts_count_and_are_cut_too(answering: Answering) -> None:
    answering(VENDORS["anthropic"], thinking=["hm "] * 30, tokens=5)
    events = ask(ModelRequest(HELLO.messages, level=2, max_tokens=20), name="anthropic:claude-sonnet-4-6")
    assert (thought_of(events), text_of(events)) == ("hm " * 20, "")
    assert events[-1] == Usage(2, 20)


def test_results_that_no_thought_led_to_are_told_without_thinking(answering: Answering) -> None:
    """Anthropic refuses thinking then, as after a turn at level 1, or one that another model began."""
    mock = answering(VENDORS["anthropic"], tokens=2)
    call = {"key": "k-0-0", "name": "add", "arguments": {}, "extra": {"model": "openai-chat:gpt", "id": "x"}}
    asked: Message = {"role": "assistant", "content": "", "calls": [call]}  # type: ignore[list-item]
    given: Message = {"role": "tool", "content": "42", "key": "k-0-0", "name": "add"}
    exchange = (*HELLO.messages, asked, given)
    ask(ModelRequest(exchange, level=3), name="anthropic:claude-sonnet-4-5")
    ask(ModelRequest(exchange, level=3), name="anthropic:claude-sonnet-4-6")
    ask(ModelRequest((*exchange, *HELLO.messages), level=3), name="anthropic:claude-sonnet-4-5")
    assert [thinking_in(mock, body) for body in mock.bodies] == [OFF, adaptive("medium"), enabled(10000)]
