"""base: what counts as a model, and what a request says."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator

import pytest

from openclaw_nb.models.base import (
    AskedCall,
    Closable,
    Loading,
    Model,
    ModelEvent,
    ModelRequest,
    TextDelta,
    Thinking,
    ThinkingDelta,
    is_loading,
    is_thinking,
)


class Smallest:
    name = "smallest"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta(request.prompt)


def test_a_name_and_a_stream_make_a_model() -> None:
    assert isinstance(Smallest(), Model)
    assert not isinstance(Smallest(), Closable)
    assert not isinstance("offline", Model)


class Slow(Smallest):
    def waits_for(self) -> str:
        return "a client"

    async def load(self) -> None:
        pass

    async def thinks(self) -> bool:
        return True


def test_what_a_model_can_is_seen_as_by_isinstance() -> None:
    for model in (Smallest(), Slow(), "offline"):
        assert is_loading(model) == isinstance(model, Loading)
        assert is_thinking(model) == isinstance(model, Thinking)


def test_the_prompt_is_the_last_message() -> None:
    request = ModelRequest(({"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
                            {"role": "user", "content": "three"}))  # fmt: skip
    assert request.prompt == "three"
    assert request.level == 2
    assert request.tools == ()


def test_the_prompt_stays_the_users_while_tools_are_used() -> None:
    call: AskedCall = {"key": "k", "name": "add", "arguments": {}}
    request = ModelRequest(({"role": "user", "content": "one"}, {"role": "assistant", "content": "", "calls": [call]},
                            {"role": "tool", "content": "2", "key": "k", "name": "add"}))  # fmt: skip
    assert request.prompt == "one"


@pytest.mark.parametrize("kind", [TextDelta, ThinkingDelta])
def test_a_delta_is_a_value(kind: type[TextDelta | ThinkingDelta]) -> None:
    delta = kind("one", tokens=2)
    assert delta == kind(text="one", tokens=2) == pickle.loads(pickle.dumps(delta)) == copy.deepcopy(delta)
    assert len({delta, kind("one", 2), kind("one")}) == 2
    assert repr(kind("one")) == f"{kind.__name__}(text='one', tokens=1)"
    with pytest.raises(AttributeError):
        delta.text = "two"  # type: ignore[misc]
    match delta:
        case TextDelta(text, tokens) | ThinkingDelta(text, tokens):
            assert (text, tokens) == ("one", 2)


def test_an_answer_is_no_thought() -> None:
    assert len({TextDelta("one"), ThinkingDelta("one")}) == 2
