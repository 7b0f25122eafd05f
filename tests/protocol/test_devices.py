"""What a device says of itself: true in both of OpenClaw's forms, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openclaw_nb.protocol.devices import SKEW, find_flaw
from openclaw_nb.protocol.frames import ConnectClient

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CLIENT = ConnectClient("openclaw-tui", "1", " Linux ", "ui", device_family="Mac ÄÖ")


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def proof(form: str, *, platform: str = "linux|mac ÄÖ", token: str = "T", **changed: Any) -> dict[str, Any]:
    raw = KEY.public_key().public_bytes_raw()
    id = hashlib.sha256(raw).hexdigest()
    words = [form, id, "openclaw-tui", "ui", "operator", "operator.read,operator.write", "5000", token, "n"]
    said = "|".join([*words, platform] if form == "v3" else words)
    signed = {"id": id, "publicKey": base64url(raw), "signature": base64url(KEY.sign(said.encode()))}
    return signed | {"signedAt": 5000, "nonce": "n"} | changed


def reason_of(device: dict[str, Any], **facts: Any) -> str | None:
    told = {"role": "operator", "scopes": ["operator.read", "operator.write"], "token": "T", "nonce": "n", "now": 6000}
    flaw = find_flaw(device, CLIENT, **(told | facts))
    return flaw.reason if flaw else None


@pytest.mark.parametrize("form", ["v2", "v3"])
def test_both_forms(form: str) -> None:
    assert reason_of(proof(form)) is None
    assert reason_of(proof(form), now=5000 + SKEW) is None
    assert reason_of(proof(form), now=5001 + SKEW) == "device-signature-stale"
    assert reason_of(proof(form), token="U") == "device-signature"
    assert reason_of(proof(form), scopes=["operator.admin"]) == "device-signature"
    assert reason_of(proof(form), role="node") == "device-signature"
    assert reason_of(proof(form), nonce="m") == "device-nonce-mismatch"


def test_a_platform_is_signed_in_the_third_form() -> None:
    assert reason_of(proof("v3", platform="windows|mac")) == "device-signature"
    assert reason_of(proof("v1")) == "device-signature"


@pytest.mark.parametrize(
    "device",
    [
        {}, {"id": "x"}, proof("v3", signature=5), proof("v3", publicKey="é"), proof("v3", publicKey="AAAA"),
        proof("v3", signature="*" * 86), proof("v3", signedAt=True), proof("v3", more=1), proof("v3", signature=""),
        proof("v3", signedAt=10**30),
    ],
)  # fmt: skip
def test_what_is_no_proof(device: dict[str, Any]) -> None:
    assert reason_of(device) in {"device-signature", "device-id-mismatch", "device-signature-stale"}


def test_a_key_that_is_none_under_its_own_id() -> None:
    for raw in (b"", b"x", bytes(32), b"\xff" * 32, b"k" * 33):
        device = proof("v3", id=hashlib.sha256(raw).hexdigest(), publicKey=base64url(raw))
        assert reason_of(device) == "device-signature"
