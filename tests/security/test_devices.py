"""What opens gateways for a computer, its key and the tokens it was given, is in its user's files and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
import traceback
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.client.credentials import Credentials
from openclaw_nb.errors import AuthError
from openclaw_nb.identity import DeviceIdentity, identity_folder
from openclaw_nb.openclaw_config import find_secret
from openclaw_nb.redaction import redact
from tests.guarded import Guarded, served
from tests.security.planted import Planted, files, found
from tests.security.test_secrets import everything_logged, noted
from tests.spine import asynchronous, soon

REQUEST = {
    "client": {"id": "gateway-client", "mode": "backend", "platform": "linux"}, "role": "operator", "scopes": ["a"],
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data for this test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return identity_folder()


def key_of(path: Path) -> Planted:
    """The private half of a key, 32 bytes at the end of its file (RFC 8410), as that has them."""
    lines = path.read_text().splitlines()
    raw = base64.b64decode("".join(lines[1:-1]))[-32:]
    return Planted("the key", core=base64.b64encode(raw).decode()[2:-4])


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


@asynchronous
async def test_not_in_logs_reprs_and_errors(here: Path) -> None:
    """In and out of a gateway that repeats what it was given, with all loggers at level 1."""
    asyncio.get_running_loop().set_debug(True)
    identity = DeviceIdentity.load()
    shared, issued = Planted("the shared token", plain=True), Planted("the token of the device", plain=True)
    planted, errors = [shared, issued, key_of(here / "device.pem")], list[BaseException]()
    gateway = Guarded("device", token=shared.text, issued=issued.text)
    gateway.words = f"not {shared.text}, nor {issued.text}"
    with everything_logged() as log:
        async with served(gateway) as url, OpenClawClient(token=shared.text) as client:
            await noted(errors, client.connect(url))
            gateway.approved.add(identity.id)
            await client.connect(url)
            await client.reconnect()
            await soon(lambda: len(modes_and_files(here)) == 2, "the token in its file")
            gateway.stale = "AUTH_SCOPE_MISMATCH"
            gateway.approved.clear()
            await noted(errors, client.reconnect())
            gateway.words = f"not {issued.text}"  # it is its own business whom it tells what they did not know
            await noted(errors, OpenClawClient().connect(url))
            await (credentials := Credentials(url, shared.text)).prepare()
            device = credentials.answer("n", REQUEST)["device"]
            channel = client._linked().first
            session = channel.session
            things: list[Any] = [
                client,
                channel,
                channel.link,
                session,
                channel.link.route.proof,
                credentials,
                identity,
                session.hello,
            ]
            shown = "\n".join(map(repr, (*things, device, *errors, *map(vars, errors))))
    trace = "".join("".join(traceback.format_exception(error)) for error in errors)
    places = {"the logs": log(), "reprs": shown.encode(), "tracebacks": trace.encode()}
    assert not found(planted, places)
    assert len(places["the logs"].splitlines()) > 20, "nothing was logged, so this shows nothing"
    assert [type(error) for error in errors] == [AuthError] * 3
    assert found([issued], files(here)), "it is looked for in the right form"
    assert redact(f"it said {issued.text}") == "it said device-token"


def modes_and_files(folder: Path) -> dict[str, bytes]:
    assert modes(folder) <= {0o600}, "not even for a moment"
    return files(folder)


def test_a_token_of_openclaws_configuration_is_told_from_text(tmp_path: Path) -> None:
    secret = Planted("the token in openclaw.json", plain=True)
    path = tmp_path / "openclaw.json"
    path.write_text(json.dumps({"gateway": {"auth": {"token": secret.text}}}))
    shown = find_secret("ws://127.0.0.1:18789", {**os.environ, "OPENCLAW_CONFIG_PATH": str(path)})
    assert shown is not None
    assert shown.secret == secret.text
    assert not found([secret], {"its repr": repr(shown).encode(), "text": redact(f"a {secret.text} b").encode()})
