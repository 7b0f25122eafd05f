"""The providers themselves, where a key for one is given: a thought, an answer, and a call of a tool."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import pytest

from openclaw_nb.events import Usage
from openclaw_nb.models.base import ModelRequest
from openclaw_nb.models.catalog import PROVIDERS
from openclaw_nb.models.failures import is_loopback
from openclaw_nb.tools import Toolbox
from tests.asking import ask, calls_of, text_of, user

LIVE = (
    "openai-chat:gpt-5.6-luna", "openai:gpt-5.6-luna", "anthropic:claude-haiku-5-5", "google:gemini-3.5-flash-lite",
)  # fmt: skip


def word_of_the_day(country: str) -> str:
    """The word of the day in a country."""
    return f"{country}: xylophone"


@pytest.mark.parametrize("name", LIVE)
def test_the_provider_itself(name: str) -> None:
    needs = PROVIDERS[name.partition(":")[0]]
    if not any(map(os.environ.get, needs.keys)):
        pytest.skip(f"there is no {' or '.join(needs.keys)}, so the provider itself was not asked")
    if is_loopback(urlsplit(os.environ.get(needs.endpoint, "")).hostname):
        pytest.skip(f"{needs.endpoint} is on this machine, so the provider itself was not asked")
    asked = user("Call the tool for the word of the day in Peru; then say the word.")
    request = ModelRequest((asked,), level=2, tools=Toolbox([word_of_the_day]).definitions, max_tokens=4000)
    *_, usage = events = ask(request, name=name)
    [call] = calls_of(events)
    assert (call.name, call.arguments) == ("word_of_the_day", {"country": "Peru"})
    assert isinstance(usage, Usage)
    assert usage.input_tokens > 10
    asked_for = {"key": "k-0-0", "name": call.name, "arguments": call.arguments, "extra": call.extra}
    exchange = [
        {"role": "assistant", "content": text_of(events), "calls": [asked_for]},
        {"role": "tool", "content": "Peru: xylophone", "key": "k-0-0", "name": call.name},
    ]
    ended = ask(ModelRequest((asked, *exchange), level=2, tools=request.tools, max_tokens=4000), name=name)  # type: ignore[arg-type]
    assert "xylophone" in text_of(ended).lower()
