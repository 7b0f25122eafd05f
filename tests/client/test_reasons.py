"""Reasons: what the end of a connection means, and whether coming back can help."""

from __future__ import annotations

import asyncio
import os
from errno import ECONNREFUSED, ECONNRESET, EHOSTUNREACH
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidMessage
from websockets.frames import Close

from openclaw_nb import OpenClawClient
from openclaw_nb.client.reasons import explain, is_refused, says_goodbye
from openclaw_nb.errors import ConnectionLost, OpenClawError, ProtocolError
from tests.spine import answering, asynchronous


@pytest.mark.parametrize(
    ("error", "type", "sentence"),
    [
        (ConnectionClosedError(Close(1011, ""), None), ConnectionLost, "was cut"),
        (ConnectionClosedError(Close(1012, ""), None), ConnectionLost, "was cut"),
        (ConnectionClosedError(Close(1009, ""), None), ProtocolError, "too big"),
        (ConnectionClosedError(None, Close(1009, "")), ProtocolError, "too big"),
        (ConnectionClosedError(None, None), ConnectionLost, "was cut"),
        (ConnectionRefusedError(ECONNREFUSED, "x"), ConnectionLost, "connection refused"),
        (
            OSError(f"Multiple exceptions: [Errno {ECONNREFUSED}] Connect call failed ('::1', 9)"),
            ConnectionLost,
            "connection refused",
        ),
        (
            OSError(EHOSTUNREACH, "Connect call failed ('10.0.0.9', 9)"),
            ConnectionLost,
            os.strerror(EHOSTUNREACH).lower(),
        ),
        (OSError(ECONNRESET, "Connect call failed ('::1', 9)"), ConnectionLost, "it hung up"),
        (TimeoutError(), ConnectionLost, "no answer"),
        (InvalidMessage("x"), ProtocolError, "is no gateway"),
    ],
)
def test_what_an_end_means(error: Exception, type: type[OpenClawError], sentence: str) -> None:
    meaning: Any = explain(error, "agent://x", 10.0)
    assert isinstance(meaning, type)
    assert sentence in str(meaning)


@asynchronous
async def test_a_gateway_without_tls() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")  # as Node does

    async with answering(refuse) as port, OpenClawClient(token="t") as client:
        with pytest.raises(ProtocolError, match=r"does not speak TLS; .* ws://"):
            await client.connect(f"wss://127.0.0.1:{port}")


def test_how_long_it_was_waited_for() -> None:
    assert str(explain(TimeoutError(), "agent://x", 0.25)) == "no answer from agent://x within 0.25 s"


def test_a_gateway_that_starts_is_waited_for() -> None:
    meaning = explain(ConnectionClosedError(Close(1013, ""), None), "agent://x", 10.0)
    assert isinstance(meaning, ConnectionLost)
    assert (meaning.is_starting, meaning.retry_after) == (True, 1.0)


@pytest.mark.parametrize(
    ("error", "goes"),
    [
        (ConnectionClosedError(Close(1012, "service restart"), None), True),
        (ConnectionClosedOK(Close(1001, ""), Close(1001, ""), True), True),
        (ConnectionClosedError(None, None), False),
        (ConnectionClosedError(Close(1011, ""), None), False),
        (ConnectionRefusedError(ECONNREFUSED, "x"), False),
    ],
)
def test_a_gateway_that_goes_away(error: Exception, goes: bool) -> None:
    assert says_goodbye(error) is goes


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (ConnectionRefusedError(ECONNREFUSED, "x"), True),
        (OSError(f"Multiple exceptions: [Errno {ECONNREFUSED}] Connect call failed ('::1', 9)"), True),
        (OSError(EHOSTUNREACH, "Connect call failed ('10.0.0.9', 9)"), False),
        (TimeoutError(), False),
        (ConnectionClosedError(None, None), False),
    ],
)
def test_a_port_that_nobody_listens_at(error: Exception, refused: bool) -> None:
    assert is_refused(error) is refused
