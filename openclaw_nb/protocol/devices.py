"""What a device says of itself when it connects, and whether it is true: the signature of its Ed25519 key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from .frames import ConnectClient

__all__ = ["SKEW", "Flaw", "find_flaw"]

SKEW = 120_000
"""Milliseconds by which the clock of a device may differ, as at a real gateway."""


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong with a proof: the sentence, the code and the reason that a real gateway gives."""

    message: str
    code: str
    reason: str


class _Proof(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    public_key: str
    signature: str
    signed_at: int
    nonce: str


MALFORMED = Flaw("device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID", "device-signature")


def find_flaw(
    device: dict[str, Any], client: ConnectClient, *, role: str, scopes: Sequence[str], token: str | None, nonce: str,
    now: int,
) -> Flaw | None:  # fmt: skip
    """What is wrong with ``connect.params.device``, or None; ``now`` in Unix milliseconds.

    The signed words are OpenClaw's third form, or its second, which knows nothing of platforms.
    """
    try:
        proof = msgspec.convert(device, _Proof)
        key = _raw(proof.public_key)
        signature = _raw(proof.signature)
    except (msgspec.ValidationError, ValueError):
        return MALFORMED
    if hashlib.sha256(key).hexdigest() != proof.id:
        return Flaw("device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch")
    if abs(proof.signed_at - now) > SKEW:
        return Flaw("device signature expired", "DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale")
    if proof.nonce != nonce:
        return Flaw("device nonce mismatch", "DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch")
    said = [proof.id, client.id, client.mode, role, ",".join(scopes), str(proof.signed_at), token or "", nonce]
    third = ["v3", *said, _plain(client.platform), _plain(client.device_family)]
    if any(_is_signed(key, signature, "|".join(words)) for words in (third, ["v2", *said])):
        return None
    return MALFORMED


def _raw(text: str) -> bytes:
    """The bytes of base64url, padded or not."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _plain(text: str) -> str:
    """As both sides write a platform: without space around it, ASCII in lower case."""
    return "".join(c.lower() if c.isascii() else c for c in text.strip())


def _is_signed(key: bytes, signature: bytes, words: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, words.encode(errors="surrogatepass"))
    except (InvalidSignature, ValueError):
        return False
    return True
