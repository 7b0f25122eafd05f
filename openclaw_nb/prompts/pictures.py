"""Picture files by their bytes: of which format, how big, and without all in them that is no picture, such as EXIF."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["MIMES", "Seen", "look", "stripped"]

MIMES = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""What OpenAI, Anthropic and Google all take of pictures in a request."""

_PNG = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB"})
"""Chunks of a PNG that say how a pixel looks; all others are text, times, EXIF, or an animation."""

_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF markers, ITU-T T.81 table B.1
_TOLD = frozenset(range(0xE1, 0xF0)) - {0xEE} | {0xFE}  # APP1-15 and COM; APP14 says what the colours are
_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class Seen(NamedTuple):
    """What the bytes of a picture say of it; the sides are in pixels."""

    mime: str
    width: int
    height: int


def look(data: bytes) -> Seen | None:
    """Format and size of a PNG, JPEG, WebP or GIF, or None for anything else, and for one without a size."""
    seen = None
    if data.startswith(_PNG) and data[12:16] == b"IHDR":
        seen = Seen("image/png", _big(data[16:20]), _big(data[20:24]))
    elif data.startswith((b"GIF87a", b"GIF89a")):
        seen = Seen("image/gif", _little(data[6:8]), _little(data[8:10]))
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        seen = Seen("image/webp", *_webp(data))
    elif data.startswith(b"\xff\xd8\xff"):
        frame = next((part for kind, part in _segments(data) if kind in _SIZED), b"")
        seen = Seen("image/jpeg", _big(frame[7:9]), _big(frame[5:7]))
    return seen if seen and seen.width and seen.height else None


def stripped(data: bytes) -> bytes:
    """A PNG or JPEG without what is no picture: EXIF, positions, comments, what lies behind its end; others as is.

    A turned photo stays as the camera held it: which way is up is EXIF too.
    """
    if data.startswith(_PNG):
        return _PNG + b"".join(_chunks(data))
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd8" + b"".join(part for kind, part in _segments(data) if kind not in _TOLD)
    return data


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _webp(data: bytes) -> tuple[int, int]:
    """Width and height by RFC 9649: a lossy, a lossless or an extended file."""
    match data[12:16]:
        case b"VP8 ":
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
        case b"VP8L":
            bits = _little(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X" if len(data) >= 30:
            return _little(data[24:27]) + 1, _little(data[27:30]) + 1
    return 0, 0


def _chunks(data: bytes) -> list[bytes]:
    """The chunks of a PNG that are kept, each whole."""
    found, at = [], len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + _big(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind in _KEPT:
            found.append(data[at:end])
        if kind == b"IEND":
            break
        at = end
    return found


def _segments(data: bytes) -> list[tuple[int, bytes]]:
    """The segments of a JPEG behind its first marker, by kind; of a scan with all its data, and none behind the end."""
    found, at = [], 2
    while _MARKER.match(data, at):
        kind = data[at + 1]
        if kind == _END:
            found.append((kind, data[at : at + 2]))
            break
        end = at + 2 + max(_big(data[at + 2 : at + 4]), 2)
        if kind == _SCAN:
            next_one = _MARKER.search(data, end)
            end = next_one.start() if next_one else len(data)
        found.append((kind, data[at:end]))
        at = end
    return found
