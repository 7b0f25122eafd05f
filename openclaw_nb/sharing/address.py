"""Address, where a Redis is, and how connections to it are made; its password is known by reference only."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any, Protocol

from ..config.uri import check_redis
from ..errors import ConfigError, one_line
from ..secret import Secret

__all__ = ["OPENING", "Address", "Password"]

OPENING = 2.0
"""Seconds that a connection may take to be made, signed in."""

MISSING = "to share runs the package redis is needed: pip install 'openclaw_nb[redis]'"


class Password(Protocol):
    """A reference to a secret, as `config.TokenReference` is one."""

    def read(self) -> str:
        """The secret as it is now; ConfigError where there is none."""


class Address:
    """``redis://HOST:PORT/DB`` or ``rediss://…`` for TLS; ``password`` is a reference, ``env:NAME`` or one that reads.

    ConfigError for any other, and where the package redis is not installed. What it raises never has the password.
    """

    def __init__(self, text: str, password: str | Password | None = None) -> None:
        self.text = check_redis(text)
        self._password = Secret(password) if isinstance(password, str) else password
        self._redis = _load()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Address {self.text}>"

    def client(self) -> Any:
        """A `redis.asyncio.Redis` that makes no connection yet, and none anew by itself."""
        redis, backoff = self._redis
        return redis.from_url(
            self.text, password=self._read(), protocol=2, socket_timeout=None, socket_connect_timeout=OPENING,
            socket_keepalive=True, retry=redis.retry.Retry(backoff.NoBackoff(), 0), retry_on_error=[],
        )  # fmt: skip

    async def connect(self, client: Any) -> Any:
        """A connection of its own for a client, signed in. ConfigError, with its reason, where it is not to be had."""
        connection = client.connection_pool.make_connection()
        try:
            async with asyncio.timeout(OPENING):
                await connection.connect()
        except Exception as error:
            await connection.disconnect(nowait=True)
            known = isinstance(error, self._redis[0].AuthenticationError)
            why = f"the Redis at {self.text} does not let us in" if known else f"there is no Redis at {self.text}"
            raise ConfigError(f"{why}: {self.words(error)}") from None
        return connection

    def words(self, error: BaseException) -> str:
        """An error in one line, without the password, which some servers repeat."""
        cause = error.__cause__
        words = one_line((isinstance(cause, OSError) and cause.strerror) or str(error) or type(error).__name__)
        return words if (secret := self._read() if self._password else None) is None else words.replace(secret, "***")

    def _read(self) -> str | None:
        if self._password is None:
            return None
        return self._password.reveal() if isinstance(self._password, Secret) else self._password.read()


def _load() -> tuple[Any, Any]:
    try:
        return import_module("redis.asyncio"), import_module("redis.backoff")
    except ImportError:
        raise ConfigError(MISSING) from None
