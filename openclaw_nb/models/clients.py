"""Clients: what a provider's model is asked through, made of the provider library off the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ..errors import ModelError
from .catalog import Needs
from .rehearsal import rehearse

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model as Library
    from pydantic_ai.profiles import ModelProfile
    from pydantic_ai.providers import Provider

    from .failures import Endpoint

__all__ = ["Client", "connect", "is_loaded"]

OLLAMA = "http://127.0.0.1:11434/v1"

UNUSED_TAGS = ("<thinking aloud>", "</thinking aloud>")
"""What pydantic-ai is to look for in answers: it finds a tag only where it is a delta by itself, and there anywhere."""

_loaded: set[str] = set()
"""The modules of providers whose clients were made in this process."""


@dataclass(slots=True)
class Client:
    """A model of the library with the HTTP client that is its own, where it sends to, and if it takes pictures."""

    model: Library
    endpoint: Endpoint
    http: httpx2.AsyncClient | None
    pictures: bool = True
    _read: WeakKeyDictionary[asyncio.Task[Any] | None, httpx2.Response] = field(
        default_factory=WeakKeyDictionary, init=False
    )
    """What each task that asks reads."""

    def __post_init__(self) -> None:
        if self.http is not None:
            self.http.event_hooks = {**self.http.event_hooks, "response": [self._opened]}

    async def _opened(self, response: httpx2.Response) -> None:
        self._read[asyncio.current_task()] = response

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Closes at the end what this task reads: google-genai leaves that to the garbage collector."""
        task = asyncio.current_task()
        try:
            yield
        finally:
            if (response := self._read.pop(task, None)) is not None:
                await response.aclose()


def is_loaded(needs: Needs) -> bool:
    """Whether a client of this library was made in this process."""
    return needs.module in _loaded


def connect(name: str, needs: Needs) -> Client:
    """Import the library and make the model and its HTTP client: seconds of work, and none of it asks anybody."""
    try:
        from pydantic_ai.models import infer_model

        from .failures import Endpoint, scrub
    except ImportError as error:
        raise ModelError(f"{name} cannot be used, pydantic-ai does not load: {error}") from None
    try:
        http: list[httpx2.AsyncClient] = []
        providers: list[Provider[Any]] = []
        model = infer_model(name, provider_factory=lambda kind: _provider(kind, needs, http, providers))
        model = _profiled(model, providers)
        rehearse(model, name)
        pictures = model.profile.get("supports_image_input", True)  # the first look at it reads a table of all models
    except Exception as error:
        words = f"{name} cannot be used: {scrub(error).split('. ')[0]}"
    else:
        _loaded.add(needs.module)
        endpoint = Endpoint(name, model.base_url or "", needs.keys)
        return Client(model, endpoint, http[0] if http else None, pictures)
    raise ModelError(words)


def _profiled(model: Library, providers: list[Provider[Any]]) -> Library:
    """A chat model without the library's own way of finding thoughts in a text, see `Thoughts`, and sure of its end.

    Where a stream ends without a reason it was cut, as by a proxy; every server that is known of gives one.
    """
    openai = sys.modules.get("pydantic_ai.models.openai")
    if openai is None or not providers or not isinstance(model, openai.OpenAIChatModel):
        return model

    def profile(known: ModelProfile) -> ModelProfile:
        sure = {"thinking_tags": UNUSED_TAGS, "openai_chat_streaming_requires_finish_reason": True}
        return cast("ModelProfile", {**known, **sure})

    return cast("Library", type(model)(model.model_name, provider=providers[0], profile=profile))


@cache
def _certificates() -> SSLContext:
    """Read once: each reading takes about 40 ms."""
    from httpx2 import create_ssl_context

    return create_ssl_context()


def _provider(kind: str, needs: Needs, http: list[httpx2.AsyncClient], providers: list[Provider[Any]]) -> Provider[Any]:
    from pydantic_ai.providers import infer_provider, infer_provider_class

    from .failures import is_loopback

    if kind.startswith("gateway/"):
        return infer_provider(kind)
    make: Callable[..., Provider[Any]] = infer_provider_class(kind)
    options: dict[str, Any] = {}
    if kind == "ollama" and not os.environ.get("OLLAMA_BASE_URL"):
        options["base_url"] = OLLAMA
    if needs.endpoint and os.environ.get(needs.endpoint) and not any(map(os.environ.get, needs.keys)):
        options["api_key"] = "none"  # the client wants one, an endpoint of one's own often does not
    provider = make(**options)
    local = is_loopback(urlsplit(provider.base_url).hostname)
    if needs.module == "google.genai" or (local and needs.module in ("openai", "anthropic")):
        from httpx2 import AsyncHTTPTransport
        from pydantic_ai.models import create_async_httpx2_client

        # With a transport of its own a client reads no proxies from the environment.
        transport = AsyncHTTPTransport(verify=_certificates()) if local else None
        http.append(create_async_httpx2_client(transport=transport))
        provider = make(**options, http_client=http[0])
    providers.append(provider)
    return provider
