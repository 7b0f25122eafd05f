"""Goes on with an answer of which a part is here already, because the process that made it was killed, or it failed.

A model that can go on from any part is asked for the rest. Any other is asked again, and as long as it says what is
here already, nothing of it is passed on: one that says the same each time goes on at the exact character.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from ..errors import RunError
from ..models.base import Continuing, Model, ModelEvent, ModelRequest, TextDelta

__all__ = ["go_on", "how_it_goes_on", "rest_of"]

Stream = Callable[[ModelRequest], AsyncGenerator[ModelEvent, None]]


def go_on(model: Model, stream: Stream, request: ModelRequest, partial: str) -> AsyncGenerator[ModelEvent, None]:
    """What comes after ``partial``; ``stream`` asks the model. Raises RunError where it cannot be had."""
    if isinstance(model, Continuing):
        return stream(model.continued(request, partial))
    return rest_of(stream(request), partial, model)


async def rest_of(
    said: AsyncGenerator[ModelEvent, None], partial: str, model: Model
) -> AsyncGenerator[ModelEvent, None]:
    """What comes after ``partial`` of an answer that is given once more; RunError where it is another one."""
    at = 0
    async with aclosing(said) as events:
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
    if at < len(partial):
        sentence = f"the run was cut, and {model.name}, asked again, answers differently; what came is kept"
        raise RunError(sentence, code="RUN_LOST")


def how_it_goes_on(model: Model, length: int) -> str:
    """In words, what was asked for again of an answer of which ``length`` characters are here, and why."""
    if isinstance(model, Continuing):
        return f"gone on from character {length}"
    return f"gone on from character {length}; {model.name} had to be asked for all of it again"
