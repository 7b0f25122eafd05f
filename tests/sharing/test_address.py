"""Addresses of a Redis: which can be one, and where the password is, and is not."""

from __future__ import annotations

import asyncio

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.sharing.address import Address
from tests.cluster.daemons import Daemon, free_port
from tests.sharing.together import address


class Reference:
    """What a configuration has in place of a secret."""

    def read(self) -> str:
        return "hidden-0123456789"


def test_the_password_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "hidden-0123456789")
    for password in ("env:SOME_PASSWORD", Reference()):
        there = Address("redis://127.0.0.1:6379/3", password)
        assert there.client().connection_pool.connection_kwargs["password"] == "hidden-0123456789"
        assert "hidden" not in f"{there!r} {there} {vars(there)!r}"
        assert there.words(ValueError("bad hidden-0123456789\nhere")) == "bad *** here"


@pytest.mark.parametrize("wrong", ["redis://u:p@h/0", "http://h", "redis://h/x", "127.0.0.1:6379", ""])
def test_what_cannot_be_one(wrong: str) -> None:
    with pytest.raises(ConfigError):
        Address(wrong)


def test_a_password_is_given_by_reference() -> None:
    with pytest.raises(ConfigError, match="reference") as refused:
        Address("redis://h/0", "hidden-0123456789")
    assert "hidden" not in str(refused.value)


def test_nobody_there(redis: Daemon) -> None:
    async def connect(text: str) -> None:
        there = Address(text)
        connection = await there.connect(there.client())
        await connection.disconnect()

    asyncio.run(connect(address(redis)))
    with pytest.raises(ConfigError, match="there is no Redis at redis://"):
        asyncio.run(connect(f"redis://127.0.0.1:{free_port()}/0"))
