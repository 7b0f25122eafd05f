"""What may go along with a message to a gateway, by what it says of itself, and how it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..prompts import Data, Prompt
from ..prompts.files import File
from ..prompts.filling import TOTAL_LIMIT
from ..prompts.images import IMAGE_BYTES, attachment, check_together
from ..protocol.frames import MAX_FRAME
from ..protocol.handshake import Hello
from .reading import amount, mapping

if TYPE_CHECKING:
    from ..models.base import Image

__all__ = ["Takes", "pack", "takes"]

_ROOM = 1_000_000
"""Bytes of a frame that are left to the message."""


@dataclass(frozen=True, slots=True)
class Takes:
    """What a gateway takes along, in bytes of one: images, and other files, 0 where it takes none."""

    images: int = IMAGE_BYTES
    files: int = 0
    frame: int = MAX_FRAME


def takes(hello: Hello) -> Takes:
    """As its gateway announces it. 2026.3.1 announces nothing: it takes images of 5,000,000 bytes and drops the rest
    without a word. Our own takes images."""
    told = mapping(hello.policy.get("attachments"))
    files, images = amount(told.get("maxBytes")), amount(told.get("maxImageBytes"))
    frame = amount(hello.policy.get("maxPayload")) or MAX_FRAME
    if hello.is_ours or files is None:
        return Takes(frame=int(frame))
    return Takes(int(files if images is None else images), int(files), int(frame))


def pack(prompt: Prompt, files: Sequence[File | Image], known: Takes, uri: str) -> tuple[Prompt, list[dict[str, str]]]:
    """The prompt and the attachments as they are sent to the gateway at ``uri``.

    Text goes as data in the prompt where a gateway takes no files. ConfigError for what it does not take.
    """
    images = list(prompt.images)
    sent: list[dict[str, str]] = []
    for file in files:
        if not isinstance(file, File):
            images.append(file)
        elif known.files:
            _check(file.name, len(file.data), known.files, uri)
            sent.append(file.attachment)
        else:
            prompt = replace(prompt, data=(*prompt.data, _data(file, prompt, uri)))
    check_together(images)
    for image in images:
        _check(image["name"], len(image["data"]) * 3 // 4, known.images, uri)
    sent = [*map(attachment, images), *sent]
    if (size := sum(len(one["content"]) for one in sent)) > known.frame - _ROOM:
        raise ConfigError(
            f"what goes along has {size:,} bytes as base64, and a message to the gateway at {uri} holds "
            f"{known.frame - _ROOM:,}"
        )
    return replace(prompt, images=tuple(images)), sent


def _check(name: str, size: int, most: int, uri: str) -> None:
    if size > most:
        raise ConfigError(f"{name} has {size:,} bytes, and the gateway at {uri} takes {most:,} of one")


def _data(file: File, prompt: Prompt, uri: str) -> Data:
    """A text as data in the prompt, with all the rest in it that goes in there."""
    if file.text is None:
        raise ConfigError(f"the gateway at {uri} takes pictures and text along, and {file.name} is {file.mime}")
    room = TOTAL_LIMIT - sum(len(data.body) for data in prompt.data)
    if len(file.text) > room:
        raise ConfigError(
            f"{file.name} has {len(file.text):,} characters; the gateway at {uri} takes text only as a part of the "
            f"message, and there is room for {room:,}"
        )
    kind = file.name.rpartition(".")[2].lower()
    return Data(file.name, kind if kind.isalnum() else "text", str(len(file.text)), file.text)
