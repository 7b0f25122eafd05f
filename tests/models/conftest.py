"""Mocks of providers for the tests of models, with planted keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.asking import KEY, VENDORS, Vendor
from tests.mock_openai import MockOpenAI, started
from tests.mock_server import Mock

ELSEWHERE = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY",
)  # fmt: skip


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for vendor in VENDORS.values():
        monkeypatch.setenv(vendor.key, KEY)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockOpenAI]]:
    """Starts mocks of OpenAI and points the provider at the newest."""
    yield from started(monkeypatch)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Mock]]:
    """Starts the mock of a vendor, and points its provider there."""
    with ExitStack() as running:

        def start(vendor: Vendor, *replies: Any, **fields: Any) -> Mock:
            mock: Mock = running.enter_context(vendor.mock(*replies, **fields))
            monkeypatch.setenv(vendor.mock.variable, mock.url)
            return mock

        yield start
