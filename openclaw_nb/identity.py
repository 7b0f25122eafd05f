"""DeviceIdentity, the key by which gateways know this computer again, and the tokens that they gave to it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import private_files
from .errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["DeviceIdentity", "DeviceToken", "DeviceTokens", "has_token", "identity_folder"]

LARGEST = 16_384
"""Bytes of a file with a key or a token at most."""


def identity_folder() -> Path:
    """The folder in the user's data where the key and the tokens lie, each in a file of mode 0600."""
    from platformdirs import user_data_path

    return user_data_path("openclaw_nb", appauthor=False) / "identity"


class DeviceIdentity:
    """An Ed25519 key. ``DeviceIdentity.load()`` is this user's own; ``signed()`` is the proof that a gateway asks for.

    OpenClaw's own identity is never read: gateways would take its owner's commands and a notebook for one device.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(raw).hexdigest()
        """What gateways call it: the SHA-256 of its raw public key, in hexadecimal."""
        self.public_key = _base64url(raw)
        """The raw public key, 32 bytes in base64url."""

    def __repr__(self) -> str:
        return f"<DeviceIdentity {self.id[:12]}…>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a DeviceIdentity is not pickled, as its key would be")

    @classmethod
    def load(cls, path: Path | None = None) -> DeviceIdentity:
        """The key in this file, made where there was none. ConfigError for a file that is broken, a symbolic link, or
        open to others: such a key may be somebody else's already, and is not used."""
        path = identity_folder() / "device.pem" if path is None else path
        private_files.make_folder(path.parent)
        with suppress(FileNotFoundError):
            return cls(_read_key(path))
        with suppress(FileExistsError):  # another kernel was faster, and its key is as good
            private_files.create(path, _new_key())
        return cls(_read_key(path))

    def signed(
        self, *, nonce: str, client_id: str, client_mode: str, role: str, scopes: Sequence[str], token: str | None,
        platform: str, device_family: str = "", now_ms: int,
    ) -> dict[str, Any]:  # fmt: skip
        """``connect.params.device``: that this device makes just this request, at ``now_ms`` (Unix, milliseconds).

        ``nonce`` is the one of the gateway's challenge, ``token`` that of ``auth``, and the others are what the request
        says. OpenClaw 2026.3.1 and 2026.9.6 take this form, the third, and let it be 120 s old.
        """
        said = (
            "v3", self.id, client_id, client_mode, role, ",".join(scopes), str(now_ms), token or "", nonce,
            _plain(platform), _plain(device_family),
        )  # fmt: skip
        signature = _base64url(self._key.sign("|".join(said).encode()))
        return {
            "id": self.id, "publicKey": self.public_key, "signature": signature, "signedAt": now_ms, "nonce": nonce,
        }  # fmt: skip


def has_token(gateway: str, role: str) -> bool:
    """Whether a gateway seems to have given this computer a token; nothing is read to find out."""
    return (identity_folder() / "tokens" / _file_name(gateway, role)).exists()


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """A token that a gateway gave a device, and the scopes that it is for."""

    text: str = field(repr=False)
    scopes: frozenset[str] = frozenset()


class DeviceTokens:
    """The tokens that gateways gave ``device`` (its id), one for each role there, each in a file of its own.

    Gateways are told apart by their address, as in ``wss://gateway.example.org:18789``, without a path.
    """

    def __init__(self, device: str, folder: Path | None = None) -> None:
        self._device = device
        self._folder = identity_folder() / "tokens" if folder is None else folder

    def __repr__(self) -> str:
        return f"<DeviceTokens of {self._device[:12]}…>"

    def find(self, gateway: str, role: str) -> DeviceToken | None:
        """The token of this device for a role at a gateway; ConfigError for a file as `load` has it."""
        path = self._path(gateway, role)
        try:
            data, _ = private_files.read(path, LARGEST, "device token")
        except FileNotFoundError:
            return None
        try:
            kept = json.loads(data)
            device, token = kept["device"], DeviceToken(kept["token"], frozenset(kept["scopes"]))
        except (ValueError, KeyError, TypeError):
            device, token = None, DeviceToken("")
        if not isinstance(token.text, str) or not token.text:
            raise ConfigError(f"{path} holds no device token; delete it to have another one made")
        return token if device == self._device else None

    def keep(self, gateway: str, role: str, token: DeviceToken) -> None:
        """Keep the token for a role at a gateway, in place of the one before, which the gateway has forgotten."""
        private_files.make_folder(self._folder)
        kept = {"gateway": gateway, "role": role, "device": self._device}
        data = json.dumps({**kept, "token": token.text, "scopes": sorted(token.scopes)}).encode()
        private_files.replace(self._path(gateway, role), data + b"\n")

    def drop(self, gateway: str, role: str) -> None:
        """Forget the token for a role at a gateway, which does not take it any more."""
        with suppress(FileNotFoundError):
            self._path(gateway, role).unlink()

    def _path(self, gateway: str, role: str) -> Path:
        return self._folder / _file_name(gateway, role)


def _file_name(gateway: str, role: str) -> str:
    """The name of a token's file, the same for every page of a gateway."""
    origin = "://".join(urlsplit(gateway)[:2]).lower()
    return f"{blake2b(f'{role} {origin}'.encode(), digest_size=16).hexdigest()}.json"


def _read_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data, _ = private_files.read(path, LARGEST, "key")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # its words may quote what is in the file
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{path} holds no Ed25519 key; delete it to have a new one made, which gateways have to approve again"
        )
    return key


def _new_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _plain(word: str) -> str:
    """A platform or family as it is signed: gateways make ASCII letters small, and no others."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in word.strip())
