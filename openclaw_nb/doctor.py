"""Doctor: looks at what a run needs, one thing after the other, and says what would help."""

from __future__ import annotations

from .config import AgentURI
from .errors import OpenClawError
from .runtime import Runtime

__all__ = ["Finding", "examine"]

Finding = tuple[str, bool, str]
"""What was looked at, whether it is fine, and a sentence."""

PATIENCE = 5.0
"""Seconds to wait for a gateway's answer."""


def examine(runtime: Runtime, uri: str | None = None, model: str | None = None) -> list[Finding]:
    """Check the address, the gateway and the model that runs would use now."""
    return [_gateway(runtime, uri), _model(runtime, uri, model)]


def _gateway(runtime: Runtime, uri: str | None) -> Finding:
    try:
        client = runtime.client(uri)
        runtime.call(client.request("health")).result(PATIENCE)
    except OpenClawError as error:
        return "gateway", False, f"{error}; %openclaw connect agent://local goes back to this kernel"
    except TimeoutError:
        return "gateway", False, f"{uri or runtime.uri} does not answer within {PATIENCE:g} s"
    return "gateway", True, f"{client.uri} answers"


def _model(runtime: Runtime, uri: str | None, model: str | None) -> Finding:
    name = model or runtime.model
    try:
        if AgentURI.parse(uri or runtime.uri).url is not None:
            return "model", True, "chosen by the gateway" if name is None else f"{name}, if the gateway has it"
        chosen = runtime.resolve(name or "offline")
    except OpenClawError as error:
        return "model", False, str(error)
    if name is None:
        return "model", True, "offline, which is no language model; %openclaw model PROVIDER:NAME takes a real one"
    return "model", True, chosen.name
