"""Handlers: each is called in its own context, and none hinders another."""

from __future__ import annotations

import contextvars
import logging
import sys

import pytest

from openclaw_nb.client.handlers import EVENTS, Handlers
from openclaw_nb.errors import ConfigError


def test_an_event_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="there is no event 'nonsense'; there are degrade, error,"):
        Handlers().add("nonsense", print)
    assert list(EVENTS) == sorted(EVENTS)


def test_one_that_fails_hinders_nobody(caplog: pytest.LogCaptureFixture) -> None:
    handlers, heard = Handlers(), list[str]()
    handlers.add("token", lambda _: sys.exit(1))
    handlers.add("token", heard.append)
    handlers.add("error", heard.append)
    with caplog.at_level(logging.ERROR, "openclaw_nb"):
        handlers.emit("token", "one")
    assert heard == ["one"]
    assert "a handler of 'token' failed" in caplog.text
    handlers.emit("gap", "nobody listens")


def test_in_the_context_that_it_was_added_in() -> None:
    where, seen = contextvars.ContextVar("where", default="nowhere"), list[str]()
    handlers = Handlers()
    token = where.set("the first cell")
    handlers.add("reconnected", lambda: seen.append(where.get()))
    where.reset(token)
    handlers.emit("reconnected")
    assert seen == ["the first cell"]
