"""Credentials: what a gateway is told of this computer, when, and by what it comes in from then on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.client.credentials import Credentials, Password
from openclaw_nb.errors import AuthError, ConfigError
from openclaw_nb.identity import DeviceIdentity, DeviceToken, DeviceTokens, identity_folder
from openclaw_nb.protocol.handshake import read_hello
from tests.guarded import ISSUED, TOKEN, Guarded, served
from tests.spine import asynchronous, soon

SCOPES = frozenset({"operator.approvals", "operator.read", "operator.write"})
GIVEN = DeviceToken(ISSUED, SCOPES)
ELSEWHERE = "wss://gateway.example.org:18789"
REQUEST = {
    "client": {"id": "gateway-client", "mode": "backend", "platform": "linux"}, "role": "operator", "scopes": ["a"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data for this test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return identity_folder()


@asynchronous
async def test_one_that_asks_only_known_computers_for_leave_is_told_the_device_wherever_it_is() -> None:
    async with served(gateway := Guarded()) as url:
        gateway.capabilities = ["model-catalog-snapshot"]
        gateway.approved.add(DeviceIdentity.load().id)
        await come_in(url)
    assert gateway.attempts() == [({"token": TOKEN}, True)]


@asynchronous
async def test_another_role_has_a_key_of_its_own(here: Path) -> None:
    key = here / "nodes" / "notebook.pem"
    credentials = Credentials("ws://127.0.0.1:1", TOKEN, role="node", key=key)
    await credentials.prepare()
    device = credentials.answer("n", REQUEST | {"role": "node"})["device"]
    assert device["id"] == DeviceIdentity.load(key).id != DeviceIdentity.load().id
    credentials.let_in(read_hello({"protocol": 4, "auth": {"deviceToken": ISSUED, "scopes": []}}))
    kept = DeviceTokens(device["id"], key.with_suffix(".tokens"))
    await soon(lambda: kept.find("ws://127.0.0.1:1", "node"), "the token")
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="is open to others"):
        await Credentials("ws://127.0.0.1:1", TOKEN, role="node", key=key).prepare()


def is_there(path: Path) -> bool:
    return path.exists()


def occupy(path: Path) -> None:
    """Have a file where a folder is to be."""
    path.parent.mkdir()
    path.touch()


async def come_in(url: str, token: str | None = TOKEN) -> None:
    async with OpenClawClient(token=token) as client:
        await client.connect(url)


@asynchronous
async def test_a_gateway_on_this_machine_is_told_no_device(here: Path) -> None:
    async with served(gateway := Guarded()) as url:
        await come_in(url)
        with pytest.raises(AuthError, match="does not let us in"):
            await come_in(url, "a-wrong-token")
    assert gateway.attempts() == [({"token": TOKEN}, False), ({"token": "a-wrong-token"}, False)]
    assert not is_there(here)


@pytest.mark.parametrize("demands", ["device", "scopes"])
@asynchronous
async def test_one_that_asks_for_a_device_gets_it_at_once_and_lets_it_in_when_it_is_approved(
    here: Path, demands: str
) -> None:
    async with served(gateway := Guarded(demands)) as url:
        with pytest.raises(
            AuthError, match=r"^the owner .* by running there: openclaw devices approve r-1$"
        ) as refused:
            await come_in(url)
        assert (refused.value.code, refused.value.details["requestId"]) == ("PAIRING_REQUIRED", "r-1")
        gateway.approved.add(DeviceIdentity.load().id)
        await come_in(url)
        await soon(lambda: list(here.glob("tokens/*.json")), "the token")
        await come_in(url, None)
        await come_in(url)
    first = [({"token": TOKEN}, False), ({"token": TOKEN}, True)]
    assert gateway.attempts() == [*first, *first, *[({"deviceToken": ISSUED}, True)] * 2]


@asynchronous
async def test_after_a_cut_it_comes_back_by_the_token_of_the_device() -> None:
    async with served(gateway := Guarded("device")) as url, OpenClawClient(token=TOKEN) as client:
        gateway.approved.add(DeviceIdentity.load().id)
        await client.connect(url)
        await client.reconnect()
    assert gateway.attempts()[2:] == [({"deviceToken": ISSUED}, True)]


@pytest.mark.parametrize(("code", "kept"), [("AUTH_DEVICE_TOKEN_MISMATCH", False), ("AUTH_SCOPE_MISMATCH", True)])
@asynchronous
async def test_a_token_of_the_device_that_is_not_taken_any_more(code: str, kept: bool) -> None:
    tokens = DeviceTokens((identity := DeviceIdentity.load()).id)
    async with served(gateway := Guarded("device")) as url:
        tokens.keep(url, "operator", GIVEN)
        gateway.stale = code
        with pytest.raises(AuthError) as refused:
            await come_in(url, None)
        assert refused.value.code == code
        assert (tokens.find(url, "operator") is not None) is kept
        tokens.keep(url, "operator", GIVEN)
        gateway.approved.add(identity.id)
        await come_in(url)
    by_device, by_token = ({"deviceToken": ISSUED}, True), ({"token": TOKEN}, True)
    assert gateway.attempts() == [by_device, by_device, by_token]


@asynchronous
async def test_who_asks_for_more_does_not_use_up_the_token_of_the_device() -> None:
    tokens = DeviceTokens((identity := DeviceIdentity.load()).id)
    async with served(gateway := Guarded("device")) as url, OpenClawClient(token=TOKEN) as client:
        gateway.approved.add(identity.id)
        await client.connect(url)
        await soon(lambda: tokens.find(url, "operator") == GIVEN, "the token")
        async with client.elevated("operator.admin"):
            pass
        await client.reconnect()
    *_, elevated, again = gateway.attempts()
    assert elevated == ({"token": TOKEN}, True)
    assert again == ({"deviceToken": ISSUED}, True)


@asynchronous
async def test_a_token_that_another_client_got_meanwhile_is_taken() -> None:
    tokens = DeviceTokens(DeviceIdentity.load().id)
    async with served(gateway := Guarded("device")) as url, OpenClawClient() as client:
        tokens.keep(url, "operator", DeviceToken("an-older-token", SCOPES))
        credentials = Credentials(url, None)
        await credentials.prepare()
        tokens.keep(url, "operator", GIVEN)
        credentials.answer("n", REQUEST)
        assert credentials.has_more(AuthError("no", code="AUTH_DEVICE_TOKEN_MISMATCH"))
        assert credentials.answer("n", REQUEST)["auth"] == {"deviceToken": ISSUED}
        await client.connect(url)
    assert gateway.attempts() == [({"deviceToken": ISSUED}, True)]


@asynchronous
async def test_who_has_no_token_hears_that_one_is_missing() -> None:
    async with served(gateway := Guarded("device")) as url:
        with pytest.raises(AuthError) as refused:
            await come_in(url, None)
    assert refused.value.code == "AUTH_TOKEN_MISSING"
    assert gateway.attempts() == [({}, False), ({}, True)]


@asynchronous
async def test_a_password() -> None:
    async with served(gateway := Guarded()) as url:
        await come_in(url, Password(TOKEN))
    assert gateway.attempts() == [({"password": TOKEN}, False)]


@asynchronous
async def test_gateways_elsewhere_are_told_the_device() -> None:
    credentials = Credentials(ELSEWHERE, TOKEN)
    await credentials.prepare()
    device = credentials.answer("n", REQUEST)["device"]
    assert device["id"] == DeviceIdentity.load().id
    await (beside := Credentials("ws://localhost:1", TOKEN)).prepare()
    assert "device" not in beside.answer("n", REQUEST)


@asynchronous
async def test_a_computer_without_an_identity(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    occupy(here)
    with caplog.at_level(logging.WARNING, "openclaw_nb"):
        await (credentials := Credentials(ELSEWHERE, TOKEN)).prepare()
    assert credentials.answer("n", REQUEST) == {"auth": {"token": TOKEN}}, "it may be one that needs none"
    assert [record.getMessage() for record in caplog.records] == [
        f"this computer has no identity for gateways: {here}: File exists"
    ]
    async with served(Guarded("device")) as url:
        with pytest.raises(ConfigError, match=f"^{here}: File exists$"):
            await come_in(url)


@asynchronous
async def test_a_token_that_cannot_be_kept_lets_in_all_the_same(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(gateway := Guarded("device")) as url:
        gateway.approved.add(DeviceIdentity.load().id)
        (here / "tokens").mkdir()
        (here / "tokens").chmod(0o777)
        with caplog.at_level(logging.WARNING, "openclaw_nb"):
            await come_in(url)
            await soon(lambda: "was not kept" in caplog.text, "the complaint")
    assert ISSUED not in caplog.text
