"""Session keys: written as gateways name them, and read back."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import RequestError
from openclaw_nb.protocol.keys import read_session_key, session_key


def test_written() -> None:
    assert session_key("main", "sales") == "agent:main:sales"
    assert session_key("main", "agent:helper:sales") == "agent:helper:sales"


@pytest.mark.parametrize(
    ("key", "read"),
    [
        ("agent:main:sales", ("main", "sales")), ("agent:a:b:c", ("a", "b:c")), ("main", ("main", "main")),
        ("agent:main", ("main", "agent:main")), ("agent::x", ("main", "agent::x")),
    ],
)  # fmt: skip
def test_read(key: str, read: tuple[str, str]) -> None:
    assert read_session_key(key) == read


def test_no_key() -> None:
    with pytest.raises(RequestError, match="must not be empty"):
        read_session_key("")
