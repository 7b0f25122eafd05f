"""DeviceIdentity: one key for a computer, files that cannot be trusted, and what a gateway can check of a signature."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from openclaw_nb.errors import ConfigError
from openclaw_nb.identity import DeviceIdentity, DeviceToken, DeviceTokens, has_token, identity_folder

REQUEST: dict[str, Any] = {
    "nonce": "n0nce", "client_id": "gateway-client", "client_mode": "backend", "role": "operator",
    "scopes": ["operator.read", "operator.write"], "token": "T", "platform": " Linux ", "device_family": "ÄB",
    "now_ms": 1_700_000_000_000,
}  # fmt: skip
GATEWAY = "wss://gateway.example.org:18789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity" / "device.pem"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data for this test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return identity_folder()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def decode(text: str) -> bytes:
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# -- the key -----------------------------------------------------------------------------------------


def test_a_key_is_made_once_for_its_owner_alone(path: Path) -> None:
    first = DeviceIdentity.load(path)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["device.pem"]
    again = DeviceIdentity.load(path)
    assert (again.id, again.public_key) == (first.id, first.public_key)
    assert first.id == hashlib.sha256(decode(first.public_key)).hexdigest()


def test_it_lies_in_the_users_data(here: Path) -> None:
    DeviceIdentity.load()
    assert here.name == "identity"
    assert [mode(path) for path in here.iterdir()] == [0o600]


def test_kernels_that_start_together_have_one_key(here: Path) -> None:
    code = "from openclaw_nb.identity import DeviceIdentity; input(); print(DeviceIdentity.load().id)"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    kernels = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(6)]
    for kernel in kernels:
        kernel.stdin.write("\n")
        kernel.stdin.flush()
    ids = {kernel.communicate(timeout=60)[0].strip() for kernel in kernels}
    assert ids == {DeviceIdentity.load().id}
    assert os.listdir(here) == ["device.pem"]


def test_the_second_of_two_kernels_takes_the_key_of_the_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, others = os.link, DeviceIdentity.load(path.with_name("other.pem"))

    def link(source: Path, target: Path) -> None:
        real(path.with_name("other.pem"), target)
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    assert DeviceIdentity.load(path).id == others.id


def test_a_key_that_is_not_taken(path: Path) -> None:
    DeviceIdentity.load(path)
    good = path.read_bytes()
    other = ec.generate_private_key(ec.SECP256R1())
    foreign = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for broken in (b"", b"\xff\0", good[:-40], good.replace(b"M", b"N"), b"x" * 20_000, foreign):
        path.write_bytes(broken)
        with pytest.raises(ConfigError) as refused:
            DeviceIdentity.load(path)
        assert str(refused.value).startswith(f"{path} ")
        assert "key" in str(refused.value)
        assert path.read_bytes() == broken, "a key that may be mended is not thrown away"
    path.write_bytes(good)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"^{path} is open to others .* chmod 600 {path}$"):
        DeviceIdentity.load(path)
    path.rename(path.with_name("moved"))
    path.with_name("moved").chmod(0o600)
    path.symlink_to("moved")
    with pytest.raises(ConfigError, match=f"^{path} is a symbolic link; name the file itself$"):
        DeviceIdentity.load(path)


def test_a_key_in_a_folder_that_others_can_write_is_not_made(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by others"):
        DeviceIdentity.load(path)
    assert os.listdir(path.parent) == []


def test_nothing_shows_the_key(path: Path) -> None:
    identity = DeviceIdentity.load(path)
    secret = "".join(path.read_text().split("-----")[2].split())
    assert repr(identity) == f"<DeviceIdentity {identity.id[:12]}…>"
    told = json.dumps(identity.signed(**REQUEST)) + repr(vars(identity)) + str(identity)
    assert secret not in told
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(identity)


def test_cryptography_is_imported_only_when_it_is_needed() -> None:
    code = "import sys, openclaw_nb, openclaw_nb.identity; print('cryptography' in sys.modules, 'json5' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# -- what it signs -----------------------------------------------------------------------------------


def test_a_gateway_can_check_who_signed_what(path: Path) -> None:
    identity = DeviceIdentity.load(path)
    device = identity.signed(**REQUEST)
    assert set(device) == {"id", "publicKey", "signature", "signedAt", "nonce"}
    assert (device["id"], device["publicKey"], device["nonce"]) == (identity.id, identity.public_key, "n0nce")
    said = "|".join([
        "v3", identity.id, "gateway-client", "backend", "operator", "operator.read,operator.write", "1700000000000",
        "T", "n0nce", "linux", "Äb",
    ])  # fmt: skip
    key = Ed25519PublicKey.from_public_bytes(decode(device["publicKey"]))
    key.verify(decode(device["signature"]), said.encode())
    with pytest.raises(InvalidSignature):
        key.verify(decode(device["signature"]), said.replace("|T|", "||").encode())


@pytest.mark.parametrize("name", sorted(REQUEST))
def test_a_signature_is_for_one_request(path: Path, name: str) -> None:
    identity = DeviceIdentity.load(path)
    other = {"scopes": ["operator.admin"], "now_ms": 1, "token": None}.get(name, "other")
    signatures = {identity.signed(**REQUEST | change)["signature"] for change in ({}, {}, {name: other})}
    assert len(signatures) == 2


# -- the tokens that gateways gave -------------------------------------------------------------------


def test_a_token_is_kept_for_each_gateway_and_role(here: Path) -> None:
    tokens = DeviceTokens("d" * 64)
    assert tokens.find(GATEWAY, "operator") is None
    assert not has_token(GATEWAY, "operator")
    second, third = DeviceToken("second", frozenset({"a", "b"})), DeviceToken("third")
    tokens.keep(GATEWAY, "operator", DeviceToken("first"))
    tokens.keep(GATEWAY, "operator", second)
    tokens.keep(GATEWAY, "node", third)
    assert tokens.find(f"{GATEWAY.upper()}/a/page", "operator") == second
    assert tokens.find(GATEWAY, "node") == third
    assert tokens.find("ws://127.0.0.1:1", "operator") is None
    assert has_token(GATEWAY, "operator")
    assert [mode(path) for path in (here / "tokens").iterdir()] == [0o600, 0o600]
    assert mode(here / "tokens") == 0o700
    assert DeviceTokens("e" * 64).find(GATEWAY, "operator") is None, "it is of another device"
    tokens.drop(GATEWAY, "operator")
    tokens.drop(GATEWAY, "operator")
    assert tokens.find(GATEWAY, "operator") is None
    assert "third" not in repr(tokens) + repr(third)


def test_a_token_file_that_is_not_taken(here: Path) -> None:
    tokens = DeviceTokens("d" * 64)
    tokens.keep(GATEWAY, "operator", DeviceToken("a-token-of-a-device"))
    (file,) = (here / "tokens").iterdir()
    for broken in (
        "",
        "{",
        "[]",
        "3",
        '{"token": "a-token"}',
        '{"device": 3, "token": 3}',
        '{"device": "d", "token": ""}',
    ):
        file.write_text(broken)
        with pytest.raises(ConfigError, match=r"holds no device token; delete it to have another one made$") as refused:
            tokens.find(GATEWAY, "operator")
        assert "a-token" not in str(refused.value)
    file.chmod(0o604)
    with pytest.raises(ConfigError, match="is open to others"):
        tokens.find(GATEWAY, "operator")
