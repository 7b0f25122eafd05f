"""Attachments, the pictures that go with a message, as clients of all kinds send them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..errors import RequestError, one_line
from ..models.base import Image
from ..prompts.images import received
from ..protocol.methods import AnyAttachment

__all__ = ["images_of"]

LONGEST_NAME = 256
"""Characters of an attachment's name."""

_ADDRESS = re.compile(r"data:([^;,]{1,100});base64,")


def images_of(attachments: Sequence[Any]) -> tuple[Image, ...]:
    """The images in attachments; RequestError for what is none."""
    return received(_parts(attachments)) if attachments else ()


def _parts(attachments: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    for number, given in enumerate(attachments, 1):
        try:
            one = msgspec.convert(given, AnyAttachment)
        except (msgspec.ValidationError, UnicodeError) as error:
            raise RequestError(f"attachment {number} is none: {error}") from None
        name = one.file_name or f"image {number}"
        if len(name) > LONGEST_NAME:
            raise RequestError(f"attachment {number} is refused: a name has at most {LONGEST_NAME} characters")
        mime, content = one.mime_type, one.content
        if address := _ADDRESS.match(content):
            mime, content = mime or address[1], content[address.end() :]
        if one.type not in ("", "image"):
            raise RequestError(f"attachment {one_line(name, 80)!r} is no image, and this gateway takes nothing else")
        yield name, mime, content
