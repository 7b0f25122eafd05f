"""Real gateways beyond this machine: TLS by a proxy, a computer's identity, its approval, and wrong certificates."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import AuthError, ProtocolError
from openclaw_nb.identity import DeviceIdentity, identity_folder
from openclaw_nb.openclaw_config import find_secret
from tests.certificates import make_certificate
from tests.conformance.gateways import RealGateway
from tests.conformance.proxy import terminating
from tests.conformance.users import Figure, session, user_of
from tests.spine import asynchronous

NAME, OTHER = "gateway.test", "other.test"
"""Names that are not this machine's own, though the proxy listens there; it has a certificate for the first."""


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that no gateway knows: its folder for identities."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return identity_folder()


@pytest.fixture
def proxy(real: RealGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a TLS proxy in front of a gateway, which is trusted."""
    certificate = make_certificate(tmp_path, NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    resolve: Callable[..., Any] = socket.getaddrinfo
    here = {kind: "127.0.0.1" for name in (NAME, OTHER) for kind in (name, name.encode())}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve(here.get(host, host), *rest, **more))
    with terminating(real.port, certificate.server()) as port:
        yield port


def modes_below(folder: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()]


async def refused(url: str, token: str | None) -> AuthError:
    with pytest.raises(AuthError) as error:
        async with OpenClawClient(token=token) as client:
            await client.connect(url)
    return error.value


async def approve(gateway: RealGateway, error: AuthError) -> None:
    """Run what the refusal says that the owner has to run."""
    command = str(error).partition("by running there: openclaw ")[2].split()
    assert command[:2] == ["devices", "approve"]
    done = await asyncio.to_thread(gateway.run, *command)
    assert done.returncode == 0, done.stderr


@asynchronous
async def test_a_computer_comes_in_once_the_owner_has_approved_it(
    real: RealGateway, proxy: int, computer: Path, figure: Figure
) -> None:
    url = f"wss://{NAME}:{proxy}"
    first, second = await refused(url, real.token), await refused(url, real.token)
    assert (first.code, first.details["reason"]) == ("PAIRING_REQUIRED", "not-paired")
    assert second.details["requestId"] == first.details["requestId"], "what the owner is told stays true"
    await approve(real, second)
    async with user_of(real, url) as client:
        assert (hello := await client.hello()).protocol == real.protocol
        assert hello.scopes == {"operator.approvals", "operator.read", "operator.write"}
        assert "tok1" in await client.send("say something [n=3]", session=session("devices"))
        with pytest.raises(AuthError, match=r"has to allow this computer what it asks for now, .* approve [0-9a-f-]+$"):
            async with client.elevated("operator.admin"):
                pass
        await client.reconnect()
        assert "tok1" in await client.send("and again [n=3]", session=session("devices"))
    assert modes_below(computer) == [0o600, 0o600], "a key and a token"
    for token in (None, "a-wrong-token"):
        async with OpenClawClient(token=token) as client:
            await client.connect(url)
            await client.request("sessions.list", {})
    figure(f"a computer elsewhere at {real.version}", "wss, Ed25519, approved by its owner, then in by its own token")


@asynchronous
async def test_a_proxy_on_this_machine(real: RealGateway, proxy: int, computer: Path) -> None:
    url = f"wss://localhost:{proxy}"
    if real.protocol > 3:  # which lets in whoever has the token to do nothing
        await approve(real, await refused(url, real.token))
    async with user_of(real, url) as client:
        await client.request("sessions.list", {})


@asynchronous
async def test_a_computer_that_was_removed_has_to_be_approved_again(
    real: RealGateway, proxy: int, computer: Path
) -> None:
    url = f"wss://{NAME}:{proxy}"
    await approve(real, await refused(url, real.token))
    async with user_of(real, url):
        pass
    done = await asyncio.to_thread(real.run, "devices", "remove", DeviceIdentity.load().id)
    assert done.returncode == 0, done.stderr
    again = await refused(url, real.token)
    assert again.code == "PAIRING_REQUIRED"
    assert modes_below(computer) == [0o600], "the token that opens nothing is forgotten"
    await approve(real, again)
    async with user_of(real, url) as client:
        await client.request("sessions.list", {})


@asynchronous
async def test_wrong_tokens_and_none(real: RealGateway, proxy: int, computer: Path) -> None:
    for url in (real.url, f"wss://{NAME}:{proxy}"):
        wrong = await refused(url, "a-wrong-token")
        assert wrong.code == "AUTH_TOKEN_MISMATCH"
        assert "a-wrong-token" not in f"{wrong} {wrong.details}"
        assert (await refused(url, None)).code == "AUTH_TOKEN_MISSING"


@asynchronous
async def test_a_certificate_that_nobody_trusts(
    real: RealGateway, proxy: int, computer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path / "other").authority))
    for host in ("localhost", NAME):
        with pytest.raises(ProtocolError, match=f"^the certificate of wss://{host}:{proxy} is not trusted: .*$"):
            await OpenClawClient(token=real.token).connect(f"wss://{host}:{proxy}")


@asynchronous
async def test_a_certificate_of_another_name(real: RealGateway, proxy: int, computer: Path) -> None:
    with pytest.raises(ProtocolError, match=rf"^the certificate of wss://{OTHER}:{proxy} is not trusted: .*{OTHER}"):
        await OpenClawClient(token=real.token).connect(f"wss://{OTHER}:{proxy}")


def test_its_own_configuration_has_the_token(real: RealGateway) -> None:
    environ = {"OPENCLAW_CONFIG_PATH": str(real.config)}
    found = find_secret(real.url, environ)
    assert found is not None
    assert (found.secret, found.place) == (real.token, str(real.config))
    assert json.loads(real.config.read_text())["gateway"]["auth"]["token"] == real.token
