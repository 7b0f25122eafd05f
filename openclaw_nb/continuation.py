"""Goes on with an answer of which a part is here already, because the gateway that made it was killed.

The model is asked again. As long as it says what is here already, nothing of it is passed on; a model that
says the same each time goes on at the exact character. One that does not is asked to go on from the part.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from .errors import RunError
from .models.base import Continuing, Model, ModelEvent, ModelRequest, TextDelta

__all__ = ["go_on"]

Stream = Callable[[ModelRequest], AsyncGenerator[ModelEvent, None]]


async def go_on(model: Model, stream: Stream, request: ModelRequest, partial: str) -> AsyncGenerator[ModelEvent, None]:
    """What comes after ``partial``; ``stream`` asks the model. Raises RunError where it cannot be had."""
    at = 0
    async with aclosing(stream(request)) as events:
        async for event in events:
            if at == len(partial) or not isinstance(event, TextDelta):
                yield event
                continue
            known = partial[at : at + len(event.text)]
            if not event.text.startswith(known):
                break
            at += len(known)
            if len(known) < len(event.text):
                yield TextDelta(event.text[len(known) :], event.tokens)
    if at == len(partial):
        return
    if not isinstance(model, Continuing):
        sentence = f"the gateway was restarted, and {model.name}, asked again, answers differently; what came is kept"
        raise RunError(sentence, code="RUN_LOST")
    async with aclosing(stream(model.continued(request, partial))) as events:
        async for event in events:
            yield event
