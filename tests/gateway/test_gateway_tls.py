"""The gateway's door under TLS and without: where it listens, what strangers may send, and who says nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import AuthError, ConfigError, ProtocolError
from openclaw_nb.gateway import Gateway, connection, gateway
from openclaw_nb.protocol.frames import MAX_HELLO, encode
from tests.certificates import Certificate, make_certificate
from tests.spine import Counted, asynchronous, dialled, hello, let_in, on_both_loops, soon
from tests.strangers import UPGRADE, end_of, framed, log_in, rest_of, stranger


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificate(made: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The gateway's, trusted by every client of this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    return made


# -- TLS -------------------------------------------------------------------------------------------


@on_both_loops
async def test_tls_from_the_first_byte_to_the_last(certificate: Certificate) -> None:
    async with Gateway(model=Counted("x" * 3_000_000, "é😀"), tls=certificate.server()) as served:
        assert served.url == f"wss://127.0.0.1:{served.port}"
        async with OpenClawClient(token=served.token) as client:
            await client.connect(served.url)
            assert await client.send("go") == "x" * 3_000_000 + "é😀"
            assert (await client.request("health"))["ok"]
        with pytest.raises(AuthError):
            await OpenClawClient(token="wrong").connect(served.url)
        async with let_in(served) as raw:
            big = await raw.ask("chat.send", sessionKey="s", message="y" * 1_000_000, idempotencyKey="k")
            assert big["ok"], "who is let in may send big messages"
        await soon(lambda: not served._connections)


@on_both_loops
async def test_what_is_sent_before_the_login_is_bounded_under_tls(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER", 0.1)
    big = encode(hello("x" * 2 * MAX_HELLO))
    async with Gateway(tls=certificate.server()) as served:
        for data in (
            framed(big),
            framed(b"{", announce=25_000_000),
            framed(big[:60_000], fin=False) + framed(big[60_000:], 0),
            framed(b"x", fin=False) + framed(b"", 0, announce=20_000_000) + b"x" * 100_000,
        ):
            async with dialled(served) as raw:
                raw.ws.transport.write(data)
                assert (await end_of(raw))[0] == 1009
        await soon(lambda: not served._connections)


@asynchronous
async def test_no_stranger_certificate_and_no_old_tls(made: Certificate) -> None:
    async with Gateway(tls=made.server()) as served:
        with pytest.raises(ProtocolError, match=r"certificate of wss://.* is not trusted"):
            await OpenClawClient(token=served.token, auto_reconnect=False).connect(served.url)
        old = made.client()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", served.port, ssl=old, server_hostname="localhost")
        async with stranger(served, UPGRADE % b"localhost" + b"\r\n") as reader:
            assert b"HTTP" not in await rest_of(reader), "no word in clear"
        assert not served._connections


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gw.example.org", "127.evil.com"])
def test_beyond_loopback_it_takes_tls_or_a_word(host: str, made: Certificate) -> None:
    with pytest.raises(ConfigError, match=r"listens on loopback only, .* unless it has TLS"):
        Gateway(host=host)
    assert Gateway(host=host, tls=made.server()).url.startswith("wss://")
    assert Gateway(host=host, insecure=True).url.startswith("ws://")


def test_tls_that_is_none(made: Certificate) -> None:
    with pytest.raises(ConfigError, match=r"''.*listens on loopback only"):
        Gateway(host="", tls=made.server(), insecure=True)
    with pytest.raises(ConfigError, match="a server's SSLContext"):
        Gateway(tls=made.client())
    old = made.server()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ConfigError, match=r"TLS 1\.2 or newer"):
        Gateway(tls=old)
    assert Gateway(host="[::1]").url == "ws://[::1]:0"


# -- who says nothing ------------------------------------------------------------------------------


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Byte by byte, and again from the beginning, without an end."""
    with contextlib.suppress(ConnectionError):
        for byte in itertools.cycle(data):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)


async def _shake_hands_and_no_more(served: Gateway, context: ssl.SSLContext) -> None:
    """TLS by hand, which does not answer when the gateway says goodbye; until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ConnectionError):
        while tls.version() is None:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            writer.write(outgoing.read())
            if tls.version() is None:
                if not (data := await reader.read(65_536)):
                    break
                incoming.write(data)
    await rest_of(reader)
    writer.transport.abort()


@on_both_loops
async def test_silent_and_slow_sockets_are_closed(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every state before the login, under TLS or not, however they drag it out."""
    monkeypatch.setattr(gateway, "UPGRADE", 0.4)
    monkeypatch.setattr(connection, "LOGIN", 0.4)
    monkeypatch.setattr(gateway, "LINGER", 0.2)
    monkeypatch.setattr(connection, "LINGER", 0.2)
    whole = UPGRADE % b"localhost" + b"\r\n"

    async def last(tls: bool, began_with: bytes, drips: bytes = b"", raw_tcp: bool = False) -> None:
        served = over_tls if tls else plain
        options: dict[str, Any] = {"ssl": certificate.client(), "server_hostname": "localhost"} if tls else {}
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port, **({} if raw_tcp else options))
        except OSError:
            assert options, "on a busy machine it may be too slow for TLS already, and be closed there"
            return
        writer.write(began_with)
        dripping = asyncio.create_task(_drip(writer, drips))
        await rest_of(reader)
        dripping.cancel()
        await asyncio.wait([dripping])
        writer.transport.abort()

    async with Gateway() as plain, Gateway(tls=certificate.server()) as over_tls:
        await asyncio.gather(
            _shake_hands_and_no_more(over_tls, certificate.client()),
            last(True, b"", raw_tcp=True),
            last(True, b"\x16\x03\x01", b"\x02" * 500, raw_tcp=True),
            *(
                last(tls, *sends)
                for tls in (False, True)
                for sends in (
                    (b"",),
                    (b"", whole * 4),
                    (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 100),
                    (whole,),
                    (whole, framed(b" " * 400)),
                    (whole, framed(b"", 9) * 80),
                )
            ),
        )
        await soon(lambda: not plain._connections and not over_tls._connections)


@on_both_loops
async def test_headers_without_an_end() -> None:
    async with Gateway() as served:
        async with stranger(served, b"GET / HTTP/1.1\r\n" + b"X: yyyyyyyyyyyy\r\n" * 1_200) as reader:
            assert b"101" not in await rest_of(reader)
        async with stranger(served, UPGRADE % b"localhost" + b"X: y\r\n" * 200 + b"\r\n") as reader:
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        assert not served._connections


@on_both_loops
async def test_the_oldest_stranger_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "STRANGERS", 5)
    async with Gateway() as served, contextlib.AsyncExitStack() as stack:
        friends = [await stack.enter_async_context(let_in(served)) for _ in range(10)]
        strangers = [await stack.enter_async_context(dialled(served)) for _ in range(12)]
        await soon(lambda: len(served._connections) == 15)
        for raw in strangers[:7]:
            with pytest.raises(ConnectionClosed):
                await raw.read()
        assert (await log_in(strangers[7], served.token))["ok"], "those that are left may still come in"
        assert (await log_in(strangers[11], "wrong"))["error"]
        friends += [await stack.enter_async_context(let_in(served)) for _ in range(10)]
        for raw in (*friends, strangers[7]):
            assert (await raw.ask("health"))["ok"]
    assert not served._strangers


# -- secrets ---------------------------------------------------------------------------------------


@on_both_loops
async def test_no_token_is_logged_at_any_level(
    tmp_path: Path, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """A token may come with the upgrade request itself, and picows logs what came with that."""
    caplog.set_level(1)
    caplog.set_level(1, "openclaw_nb.picows")
    asyncio.get_running_loop().set_debug(True)
    path, wrong = tmp_path / "token", "a-wrong-token-" + os.urandom(4).hex()
    for tls in (None, certificate.server()):
        async with Gateway(model=Counted("one"), token_file=path, tls=tls) as served:
            tokens = [served.token]
            async with OpenClawClient(token=served.token) as client:
                await client.connect(served.url)
                await client.send("go")
                options: dict[str, Any] = {"ssl": certificate.client(), "server_hostname": "localhost"} if tls else {}
                for token in (wrong, served.token):
                    header = f"Authorization: Bearer {token}\r\nCookie: token={token}\r\n\r\n".encode()
                    request = UPGRADE % b"localhost" + header + framed(encode(hello(token)))
                    async with stranger(served, request, **options) as reader:
                        assert (b"hello-ok" if token != wrong else b"MISMATCH") in await reader.readuntil(b"}}}")
                served.rotate_token()
                tokens.append(served.token)
                served.revoke_tokens()
                await soon(lambda client=client: client._linked().first.link.ended)  # type: ignore[misc]
            with pytest.raises(AuthError) as refusal:
                await OpenClawClient(token=wrong).connect(served.url)
            shown = f"{served!r} {served._door!r} {served._tokens!r} {list(served._connections)!r} {refusal.value!r}"
    logged = "".join(logging.Formatter().format(record) for record in caplog.records)
    assert logged
    assert not [token for token in (*tokens, wrong) if token in logged + shown]
