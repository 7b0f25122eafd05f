"""Reads the chunks of a streamed response straight from its provider's SDK, without the library's lock around each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_ai.models import StreamedResponse

__all__ = ["read_directly"]


class _Chunks:
    """The same chunks as ``guarded``, which has looked at the first one already and takes the others from ``source``.

    No generator, which the loop would have to close where a stream is left.
    """

    def __init__(self, guarded: AsyncIterator[Any], source: AsyncIterator[Any]) -> None:
        self._guarded = guarded
        self._source = source
        self._begun = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __anext__(self) -> Awaitable[Any]:
        if self._begun:
            return self._source.__anext__()
        self._begun = True
        return self._guarded.__anext__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guarded, name)


def read_directly(response: StreamedResponse) -> None:
    """Before it is iterated, have a response that one task reads and closes take its chunks without a lock.

    pydantic-ai 2.68 locks for a second task that may close what the first one reads. The lock lets the loop turn for
    every chunk, even one of many that came at once, and is half of what the library costs. A response that keeps its
    chunks elsewhere is left as it is.
    """
    guarded = getattr(response, "_response", None)
    source = getattr(guarded, "_source_iter", None)
    if guarded is not None and source is not None:
        response._response = _Chunks(guarded, source)  # type: ignore[attr-defined]
