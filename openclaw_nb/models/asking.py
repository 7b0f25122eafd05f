"""What a provider is asked for beside the messages: how far to think, how long to answer, how long to be silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .base import ModelRequest

if TYPE_CHECKING:
    from pydantic_ai.models import Model as Library
    from pydantic_ai.settings import ModelSettings, ThinkingLevel

__all__ = ["settings_of", "thinks"]

THINKING: dict[int, ThinkingLevel] = {1: False, 2: "low", 3: "medium", 4: "high"}
"""pydantic-ai's `thinking` by level. False is off, or the least a model can; one that cannot think ignores it all."""

GOOGLE_BUDGETS = {2: 2048, 3: 8192, 4: 24576}
"""Tokens of thought by level for Gemini 2.5, as pydantic-ai has them; later ones take a level."""

ANSWERS_PART = 0.25
"""Of ``max_tokens``, which count thoughts too, what is kept free of a thinking budget at least."""

LEAST_BUDGET = 1024
"""The smallest thinking budget that Anthropic takes."""

LEAST_OF_RESPONSES = 16
"""The smallest limit that OpenAI's Responses API takes."""

NO_THINKING = ("claude-2", "claude-instant", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus", "claude-3-5")
"""Models of Anthropic from before thinking, which pydantic-ai has down as able to: their API answers 400."""


def thinks(model: Library) -> bool:
    """Whether the model thinks by itself where it is asked to."""
    profile = model.profile
    able = profile.get("supports_thinking", False) or profile.get("thinking_always_enabled", False)
    return able and not model.model_name.startswith(NO_THINKING)


def settings_of(model: Library, name: str, request: ModelRequest, timeout: float) -> ModelSettings:
    """The library's settings for a model we know by ``name``; ``timeout`` is in seconds.

    A thinking budget always leaves room for an answer.
    """
    settings: dict[str, Any] = {"timeout": timeout, "max_retries": 0} | _thinking(model, name, request)
    if request.max_tokens is not None:
        least = LEAST_OF_RESPONSES if "Responses" in type(model).__name__ else 1
        settings["max_tokens"] = max(least, request.max_tokens)
    for name in model.unsupported_settings & settings.keys():
        del settings[name]
    return cast("ModelSettings", settings)


def _thinking(model: Library, name: str, request: ModelRequest) -> dict[str, Any]:
    if not thinks(model):
        return {}
    level = THINKING[request.level]
    if level is False:
        return {"thinking": False}
    room = None if request.max_tokens is None else int(request.max_tokens * (1 - ANSWERS_PART))
    profile = cast("dict[str, Any]", model.profile)
    if model.system == "anthropic" and not profile.get("anthropic_supports_adaptive_thinking", False):
        return {"thinking": False} if _goes_on_without_thought(request, name) else _budgeted(level, room)
    by_level = profile.get("google_supports_thinking_level", True)
    if room is not None and model.system in ("google", "google-cloud") and not by_level:
        budget = min(GOOGLE_BUDGETS[request.level], room)
        return {"google_thinking_config": {"include_thoughts": True, "thinking_budget": budget}}
    return {"thinking": level}


def _budgeted(level: ThinkingLevel, room: int | None) -> dict[str, Any]:
    """For models of Anthropic that are given a budget, which has to be smaller than max_tokens."""
    from pydantic_ai.profiles.anthropic import ANTHROPIC_THINKING_BUDGET_MAP

    budget = ANTHROPIC_THINKING_BUDGET_MAP[level]
    if room is None or budget <= room:
        return {"thinking": level}
    if room < LEAST_BUDGET:
        return {"thinking": False}
    return {"anthropic_thinking": {"type": "enabled", "budget_tokens": room}}


def _goes_on_without_thought(request: ModelRequest, name: str) -> bool:
    """Whether tools were called without a thought of this model: with a budget, what they gave is refused then."""
    if request.messages[-1]["role"] != "tool":
        return False
    calls = next(message["calls"] for message in reversed(request.messages) if message.get("calls"))
    extra = calls[0].get("extra") or {}
    parts = extra.get("response", {}).get("parts", [])
    return extra.get("model") != name or not parts or parts[0].get("part_kind") != "thinking"
