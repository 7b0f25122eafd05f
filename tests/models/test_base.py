"""base: what counts as a model, and what a request says."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openclaw_nb.models.base import Closable, Model, ModelEvent, ModelRequest, TextDelta


class Smallest:
    name = "smallest"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta(request.prompt)


def test_a_name_and_a_stream_make_a_model() -> None:
    assert isinstance(Smallest(), Model)
    assert not isinstance(Smallest(), Closable)
    assert not isinstance("offline", Model)


def test_the_prompt_is_the_last_message() -> None:
    request = ModelRequest(({"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
                            {"role": "user", "content": "three"}))  # fmt: skip
    assert request.prompt == "three"
    assert request.level == 2
