"""What went wrong at a provider, as one short sentence, and whether and when to ask it again."""

from __future__ import annotations

import os
import random
import re
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
    UserError,
)

from ..errors import ModelError, one_line

__all__ = ["ATTEMPTS", "Endpoint", "is_loopback", "pause", "refuses_pictures", "scrub", "unfinished"]

LONGEST_REASON = 200
"""Characters of a provider's own words that are passed on."""

ATTEMPTS = 4
LONGEST_WAIT = 86_400.0
"""Seconds that a provider is believed to want to be left alone for, at most."""

PATIENCE = 20.0
"""Seconds from the first attempt within which the last one starts."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_SECRET = re.compile(r"\b(?:bearer\s+\S+|(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.…-]{6,}|AIza[\w-]{8,})", re.IGNORECASE)
_PICTURES = re.compile(r"image|vision|multi-?modal", re.IGNORECASE)
_A_BAD_ONE = re.compile(
    r"size|large|exceed|maximum|pixel|dimension|bytes|decod|corrupt|process|base64|media.?type|format", re.IGNORECASE
)
_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is this machine by its form alone: nothing is looked up, and 127.evil.com is not."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def scrub(text: object) -> str:
    """Someone else's words on one bounded line, without control characters, addresses and anything like a key."""
    line = _URL.sub(lambda url: _host(url[0]) or "an address", one_line(text, 4000))
    for variable, secret in os.environ.items():
        if len(secret) >= 8 and _SECRET_VARIABLE.search(variable):
            line = line.replace(secret, "…")
    line = _SECRET.sub("…", line)
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers: its base URL, and the names of the variables that may hold its key."""

    model: str
    url: str
    keys: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        return _host(self.url) or self.model

    @property
    def local(self) -> bool:
        return is_loopback(_parts(self.url)[0])

    def failure(self, error: Exception, *, begun: bool) -> ModelError:
        """What its run ends with; ``begun`` says that part of the answer had come."""
        if _is_unfinished(error):
            error = unfinished(self.model)
        # Silence before an answer may be thought, and no second call would be quicker; in mid-answer it is a fault.
        may_pass = _passing(error) or (begun and isinstance(error, ModelTimeoutError))
        code = "MODEL_UNAVAILABLE" if may_pass else None
        failure = ModelError(self.sentence(error, begun=begun), code=code)
        failure.retry_after = min(max(0.0, _asked_for(error) or 0.0), LONGEST_WAIT)
        return failure

    def sentence(self, error: Exception, *, begun: bool) -> str:
        """One sentence for people; ``begun`` says that part of the answer had come."""
        if isinstance(error, ModelHTTPError):
            return self._status(error)
        if isinstance(error, ModelTimeoutError) and error.phase != "connect":
            return f"{self.host} fell silent {'in mid-answer' if begun else 'before answering'} (time-out)"
        if isinstance(error, ModelConnectionError):
            return self._connection(error, begun)
        if isinstance(error, ModelAPIError) and isinstance(error.__cause__, ValueError):
            return f"{self.host} sent a malformed stream"
        if isinstance(error, UserError):
            return scrub(error).split(". ")[0]
        if isinstance(error, (ModelAPIError, UnexpectedModelBehavior)):
            return f"{self.host} failed: {scrub(getattr(error, 'message', error))}"
        return f"{self.host} failed: {type(error).__name__}: {scrub(error)}"

    def _status(self, error: ModelHTTPError) -> str:
        status = f"{error.status_code} {_phrase(error.status_code)}".strip()
        said = f"{self.host} answered {status}" if not error.in_stream else f"{self.host} broke off with {status}"
        if isinstance(error, ModelAuthenticationError):
            return f"{said}: it does not take the key{' in ' + ' or '.join(self.keys) if self.keys else ''}"
        if error.retry_after:
            said += f", to be asked again in {error.retry_after:g} s"
        if reason := scrub(_message(error.body)):
            said += f": {reason}"
        return said

    def _connection(self, error: ModelConnectionError, begun: bool) -> str:
        if begun:
            return f"{self.host} broke the connection off in mid-answer"
        if error.phase == "connect":
            reason = "time-out" if isinstance(error, ModelTimeoutError) else scrub(_root(error))
            return f"{self.host} cannot be reached: {reason}"
        if error.phase is None:
            return f"{self.host} cannot be asked: {scrub(_root(error))}"
        return f"{self.host} broke the connection off before answering"


def pause(error: Exception, attempt: int, elapsed: float, *, local: bool) -> float | None:
    """Seconds to wait before asking again, or None where that is no use; for failures before the first token.

    ``attempt`` counts from 1, ``elapsed`` is seconds since the first. A provider's Retry-After is kept to.
    Nothing listening on this machine is known at once, so there the waits are short.
    """
    if attempt >= ATTEMPTS or not _passing(error):
        return None
    asked = _asked_for(error)
    base = 0.1 if local and isinstance(error, ModelConnectionError) else 0.3
    seconds = asked if asked is not None else base * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
    return max(0.0, seconds) if elapsed + seconds <= PATIENCE else None


def unfinished(model: str) -> Exception:
    """What it is that a stream ended in good order, but without the end of its answer."""
    return ModelConnectionError(model, "the answer has no end", phase="read")


def _is_unfinished(error: Exception) -> bool:
    """Whether the library says so, which it does only of OpenAI's chat."""
    return type(error) is ModelAPIError and "without a `finish_reason`" in str(error)


def refuses_pictures(error: Exception) -> bool:
    """Whether a request was refused for its pictures, which many models do not take: each server says so otherwise."""
    if not isinstance(error, ModelHTTPError) or error.in_stream or error.status_code in (401, 403, 429):
        return False
    said = _message(error.body)
    return bool(_PICTURES.search(said)) and not _A_BAD_ONE.search(said)


def _asked_for(error: Exception) -> float | None:
    """Seconds that a provider asked to be left alone for."""
    return error.retry_after if isinstance(error, ModelAPIError) else None


def _passing(error: Exception) -> bool:
    if isinstance(error, ModelHTTPError):
        return not isinstance(error, ModelQuotaExceededError) and (error.status_code == 429 or error.status_code >= 500)
    if isinstance(error, ModelTimeoutError):
        return error.phase == "connect"
    if _is_unfinished(error):
        return True
    return isinstance(error, ModelConnectionError) and error.phase is not None


def _parts(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port
    except ValueError:
        return None, None


def _host(url: str) -> str | None:
    host, port = _parts(url)
    if host is None or not host.isprintable():
        return None
    host = f"[{host}]" if ":" in host else host[:100]
    return f"{host}:{port}" if port else host


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _message(body: Any) -> str:
    """The words in an error object: OpenAI's {message}, or {error: {message}} as Anthropic and Google nest it."""
    for _ in range(2):
        if not isinstance(body, dict):
            break
        if isinstance(message := body.get("message"), str):
            return message
        body = body.get("error")
    return body if isinstance(body, str) and "<" not in body else ""


def _root(error: BaseException) -> str:
    """What the operating system said, under however many layers of clients."""
    found: BaseException | None = error
    words = str(error)
    while found is not None:
        if isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if isinstance(found, OSError) and found.errno:
            # Resolver errors have numbers of their own, below zero, that strerror does not know.
            return (os.strerror(found.errno) if found.errno > 0 else found.strerror or words).lower()
        words = str(found) or words
        found = found.__cause__ or found.__context__
    return words
