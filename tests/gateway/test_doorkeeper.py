"""Doorkeeper: how much a stranger may send, whatever the frame's header says of it."""

from __future__ import annotations

import asyncio
import gc
import struct
import weakref

import pytest

from openclaw_nb.gateway.doorkeeper import FRAMING, Doorkeeper
from openclaw_nb.protocol.frames import MAX_HELLO


class Transport:
    """As much of a transport as a protocol is given."""

    def __init__(self, protocol: asyncio.BufferedProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BufferedProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BufferedProtocol) -> None:
        self.protocol = protocol

    def receive(self, data: bytes, size: int = 4_096) -> None:
        """Bytes from the network, in pieces."""
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.protocol.get_buffer(-1)[: len(piece)] = piece
            self.protocol.buffer_updated(len(piece))


class Inner(asyncio.BufferedProtocol):
    """What picows would be given."""

    def __init__(self) -> None:
        self.buffer = bytearray(100_000)
        self.got = b""
        self.told: list[str] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.got += self.buffer[:nbytes]

    def eof_received(self) -> bool:
        self.told.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


def stand() -> tuple[Doorkeeper, Transport, Inner, list[None]]:
    inner, refusals = Inner(), list[None]()
    transport = Transport(inner)
    doorkeeper = Doorkeeper(transport, lambda: refusals.append(None))  # type: ignore[arg-type]
    return doorkeeper, transport, inner, refusals


def header(size: int) -> bytes:
    if size < 126:
        return bytes([0x81, 0x80 | size])
    return b"\x81\xfe" + struct.pack("!H", size) if size < 65_536 else b"\x81\xff" + struct.pack("!Q", size)


@pytest.mark.parametrize("piece", [1, 3, 4_096])
@pytest.mark.parametrize("size", [0, 5, 125, 126, 60_000, 65_535, MAX_HELLO])
def test_small_messages_pass_as_they_are(size: int, piece: int) -> None:
    _, transport, inner, refusals = stand()
    frame = header(size) + b"mask" + b"x" * size
    transport.receive(frame, piece)
    assert inner.got == frame
    assert not refusals


@pytest.mark.parametrize("piece", [1, 4_096])
@pytest.mark.parametrize("size", [MAX_HELLO + 1, 10**6, 2**62])
def test_an_announcement_is_enough(size: int, piece: int) -> None:
    _, transport, inner, refusals = stand()
    transport.receive(header(size) + b"mask" + b"x" * 100_000, piece)
    assert len(refusals) == 1
    assert len(inner.got) < 10


def test_many_small_frames_are_too_much_as_well() -> None:
    _, transport, inner, refusals = stand()
    transport.receive((header(100) + b"mask" + b"x" * 100) * 2_000)
    assert len(refusals) == 1
    assert len(inner.got) <= MAX_HELLO + FRAMING


def test_who_is_let_in_may_send_what_he_likes() -> None:
    doorkeeper, transport, inner, refusals = stand()
    transport.receive(header(5) + b"mask" + b"x" * 5)
    doorkeeper.leave()
    assert transport.protocol is inner
    transport.receive(header(10**6) + b"mask" + b"x" * 10**6)
    assert len(inner.got) > 10**6
    assert not refusals


def test_what_strangers_sent_goes_with_them() -> None:
    """Not with the next run of the garbage collector, which may be a thousand strangers later."""
    doorkeeper, transport, inner, _ = stand()
    inner.doorkeeper = doorkeeper  # type: ignore[attr-defined] # as picows' buffer knows its listener, and that this
    gone = weakref.ref(inner)
    gc.disable()
    try:
        doorkeeper.connection_lost(None)
        assert inner.told == ["lost"]
        del transport, inner, _
        assert gone() is None
    finally:
        gc.enable()


def test_all_else_is_passed_on() -> None:
    doorkeeper, _, inner, _ = stand()
    assert doorkeeper.eof_received() is False
    doorkeeper.pause_writing()
    doorkeeper.resume_writing()
    doorkeeper.connection_lost(None)
    assert inner.told == ["eof", "pause", "resume", "lost"]
