"""Files that go with a prompt: what a path or a value of the notebook is as a file, by its name, type and bytes."""

from __future__ import annotations

import json
import mimetypes
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, one_line
from ..redaction import redact, secret_in
from .images import image_of, picture
from .kinds import is_a
from .pictures import MIMES, look

if TYPE_CHECKING:
    from ..models.base import Image

__all__ = ["FILE_BYTES", "File", "file_of"]

FILE_BYTES = 19_464_192
"""Bytes of one file that are read: what 2026.9.6 takes of an attachment, as base64 in a frame of 25 MiB."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent. ``text`` is what is in it, with the names of secrets in their place; None if it is none."""

    name: str
    mime: str
    data: bytes = field(repr=False)
    text: str | None = field(default=None, repr=False)

    @property
    def attachment(self) -> dict[str, str]:
        """As `chat.send` of a real gateway takes it."""
        content = b64encode(self.data).decode()
        return {"type": "file", "mimeType": self.mime, "fileName": self.name, "content": content}


def file_of(name: str, value: object) -> File | Image:
    """``value`` as a file, or as an image where it is one: a path, text, bytes, a table (as CSV), plain data (as JSON),
    and all that `image_of` takes.

    ConfigError for one that is too big, cannot be read, or holds a secret in what is no text.
    """
    if isinstance(value, Path):
        return _made(value.name, _read(value))
    if (image := image_of(name, value)) is not None:
        return image
    if isinstance(value, bytes | bytearray):
        return _made(name, bytes(value))
    suffix, text = _written(name, value)
    return _made(f"{name}{suffix}", text.encode("utf-8", "replace"))


def _read(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > FILE_BYTES:
            raise ConfigError(f"{path.name} has {size:,} bytes, and a file that goes along at most {FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {one_line(error.strerror or error)}") from None


def _written(name: str, value: Any) -> tuple[str, str]:
    """How a value is written into a file: the end of its name, and its text."""
    try:
        if isinstance(value, str):
            return ".txt", str(value)
        if is_a(value, "pandas", "DataFrame", "Series"):
            return ".csv", value.to_csv()
        if is_a(value, "polars", "DataFrame"):
            return ".csv", value.write_csv()
        if isinstance(value, dict | list | tuple):
            return ".json", json.dumps(value, ensure_ascii=False, indent=1)
    except Exception as error:  # whatever a library raises
        raise ConfigError(f"{name} cannot be written as a file: {type(error).__name__}: {one_line(error)}") from None
    raise ConfigError(
        f"{name} is {one_line(type(value).__name__, 80)}; what can go along is a file, picture, table, text, bytes or "
        "plain data"
    )


def _made(name: str, data: bytes) -> File | Image:
    if not data:
        raise ConfigError(f"{name} is empty")
    if len(data) > FILE_BYTES:
        raise ConfigError(f"{name} has {len(data):,} bytes, and a file that goes along at most {FILE_BYTES:,}")
    if look(data) is not None:
        return picture(name, data)
    mime = mimetypes.guess_type(name)[0]
    if mime in MIMES:
        raise ConfigError(f"{name} is no picture, whatever its name says")
    with suppress(UnicodeDecodeError):
        text = data.decode("utf-8-sig")
        if "\0" not in text:
            text = redact(text)
            return File(name, mime or "text/plain", text.encode(), text)
    if secret := secret_in(data):
        raise ConfigError(f"{name} holds the secret {secret} and does not go along")
    return File(name, mime or "application/octet-stream", data)
