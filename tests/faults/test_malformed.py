"""Messages that are none, 100,000 of them, against a gateway over its socket, and what one client can make it hold."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import struct
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.frames import MAX_FRAME, ChatAbort, ChatHistory, ChatSend, ConnectParams, RunResume, encode
from tests.protocol.test_server import malformed
from tests.security.test_gateway import closed_with, framed
from tests.spine import Counted, Raw, asynchronous, dialled, hello, let_in

TOTAL = 100_000
ON_THEIR_OWN = 600  # break the connection, so each has one of its own
DEEP = 200_000
RESERVED = [0x10, 0x20, 0x40, 0x70]  # bits of a frame (RFC 6455, section 5.2)

SOUND = [
    hello("T"),
    {"type": "req", "id": "7", "method": "chat.history", "params": {"sessionKey": "é😀" * 9}},
    {"type": "req", "id": "7", "method": "run.resume", "params": {"runId": "r", "offset": 5, "steps": {"thinking": 3}}},
]
WRONG = [None, True, -1, 10**400, 1e308, "", "x" * 200, "\ud800", [], [[]], {}, {"\ud800": {}}, [{"a": 1}]]
METHODS = {
    "chat.abort": ChatAbort, "chat.history": ChatHistory, "chat.send": ChatSend, "connect": ConnectParams,
    "run.resume": RunResume,
}  # fmt: skip
RIGHT = {"sessionKey": "main", "message": "go", "idempotencyKey": "k", "runId": "r", "minProtocol": 3, "maxProtocol": 4}

CHARACTERS = '{"type":"req","id":"é€😀","method":"€"}'.encode()

KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "random bytes": lambda chance: chance.randbytes(chance.randrange(120)),
    "not a number": lambda _: b'{"type":"req","id":"7","method":"m","params":{"a":[NaN,Infinity,1e999]}}',
    "5,000 digits": lambda _: b'{"type":"req","id":"7","method":"m","params":{"a":' + b"9" * 5_000 + b"}}",
    "duplicate keys": lambda _: b'{"type":"req","type":"res","id":"7","id":8,"id":"9","method":"m","params":{}}',
    "cut UTF-8": lambda chance: CHARACTERS[: chance.choice([21, 23, 27, 44])] + b'"}',
    "cut short": lambda chance: (raw := encode(chance.choice(SOUND)))[: chance.randrange(len(raw))],
    "no request": lambda chance: chance.choice([b"null", b"1", b'"x"', b"[]", b"{}", b'{"type":"event","event":"x"}']),
    "lone surrogates": lambda chance: b'{"%b":"\\udfff","method":"m"}' % chance.choice([b"type", b"id", b"\\ud800"]),
    "all at once": malformed,
}  # fmt: skip
"""Nine kinds, as of those that follow there are only few: they are big, or there are no more of them."""


def wrong_fields() -> Iterator[bytes]:
    """Every field of every method, of every wrong type, and fields that none has."""
    for method, type in METHODS.items():
        for name in (*type.__struct_encode_fields__, "nonsense"):
            for value in WRONG:
                params = {key: value for key, value in RIGHT.items() if key in type.__struct_encode_fields__}
                yield encode({"type": "req", "id": "7", "method": method, "params": params | {name: value}})
    for key, value in itertools.product(("type", "id", "method", "params"), WRONG):
        yield encode({"type": "req", "id": "7", "method": "m", "params": {}} | {key: value})


def big() -> Iterator[bytes]:
    for _ in range(30):
        yield b"[" * DEEP
        yield b'{"a":' * (DEEP // 10)
    yield b'{"type":"req","id":"7","method":"m","params":' + b'{"a":' * DEEP + b"1" + b"}" * (DEEP + 1)
    yield b'{"type":"req","id":"7","method":"m","params":{"\\ud800":' + b"[" * DEEP
    yield encode({"type": "req", "id": "7", "method": "x" * 2_000_000})
    yield encode({"type": "req", "id": "x" * 2_000_000, "method": "health"})
    yield encode({"type": "req", "id": "7", "method": "m", "params": {"x" * 2_000_000: 1}})
    yield b'"' + b"\\ud800" * 400_000 + b'"'
    yield b" " * 3_000_000


def in_fragments(raw: bytes, chance: random.Random) -> bytes:
    """A message in pieces of any size, none included, with pings between them."""
    ends = sorted(chance.randrange(len(raw) + 1) for _ in range(3))
    pieces = [raw[a:b] for a, b in itertools.pairwise([0, *ends, len(raw)])]
    frames = [framed(piece, 0 if i else 1, fin=i == len(pieces) - 1) for i, piece in enumerate(pieces)]
    return framed(b"ping", 9).join(frames)


def all_messages(chance: random.Random, count: int) -> Iterator[bytes]:
    yield from map(framed, big())
    few = list(wrong_fields())
    yield from map(framed, few)
    kinds = itertools.cycle(KINDS.values())
    for i in range(count - len(few) - len(list(big()))):
        raw = next(kinds)(chance)
        if i % 50 == 0:
            yield in_fragments(raw, chance)
        else:  # picows passes over reserved bits: what they are on is read as it stands
            yield framed(raw, 1 | chance.choice(RESERVED) if i % 50 == 1 else 1)


@asynchronous
async def test_messages_that_are_none_are_answered_one_by_one(
    figure: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(11)
    answered = valid = 0
    messages = all_messages(chance, TOTAL - ON_THEIR_OWN)
    async with Gateway(model=Counted("one")) as served, let_in(served, caps=("nb.offset", "nb.resume")) as raw:
        while batch := list(itertools.islice(messages, 500)):
            raw.ws.transport.writelines(batch)
            replies = await replies_until(raw, f"sound {answered}")
            assert len(replies) == len(batch), "each has its answer"
            assert not [text for text in replies if '"INTERNAL"' in text]
            assert max(map(len, replies)) < 2_000, "what is refused does not come back as big as it was"
            answered, valid = answered + len(replies), valid + 1
        assert len(served._connections) == 1
    assert answered == TOTAL - ON_THEIR_OWN
    assert not [record for record in caplog.records if record.name == "openclaw_nb"]
    figure(
        "reliability 11",
        f"{answered:,} malformed messages on one connection: each answered, {valid} valid between them too",
    )


def batches(names: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(itertools.islice(names, size)):
        yield batch


async def replies_until(raw: Raw, id: str) -> list[str]:
    """What was answered before a valid request that is sent now, which is answered well."""
    await raw.send({"type": "req", "id": id, "method": "health"})
    replies = []
    while True:
        text = str(await raw.ws.recv())
        if id in text:
            assert json.loads(text)["ok"]
            return replies
        if '"type":"res"' in text:
            replies.append(text)


BREAKING = {
    "binary": (framed(b'{"type":"req","id":"7","method":"health"}', 2), 1003),
    "binary, in fragments": (framed(b"{", 2, fin=False) + framed(b"}", 0), 1003),
    "a fragment of nothing": (framed(b"x", 0), 1002),
    "a message in a message": (framed(b"x", fin=False) + framed(b"y"), 1002),
    "unmasked": (b"\x81\x01x", 1002),
    "a long ping": (framed(b"x" * 126, 9), 1002),
    "a ping in fragments": (framed(b"x", 9, fin=False) + framed(b"", 0), 1002),
    "a long close": (framed(b"\x03\xe8" + b"x" * 124, 8), 1002),
    "a close of one byte": (framed(b"x", 8), 1002),
    "a close with code 1005": (framed(struct.pack("!H", 1005), 8), 1002),
    "a close that is no text": (framed(struct.pack("!H", 1000) + b"\xff", 8), 1007),
    "26 MiB announced": (framed(b"x", announce=26 * 2**20 + 1), 1009),
    "2^63 bytes announced": (framed(b"x", announce=2**63 - 1), 1009),
    **{f"opcode {n}": (framed(b"x", n), 1002) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
}


@asynchronous
async def test_frames_that_are_none_end_their_connection_and_no_other(
    figure: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    codes: Counter[int] = Counter()
    async with Gateway() as served, let_in(served) as other:

        async def send(name: str) -> None:
            data, code = BREAKING[name]
            async with let_in(served) as raw:
                raw.ws.transport.write(data + framed(b'{"type":"req","id":"late","method":"health"}'))
                closed = await closed_with(raw.ws)
                assert closed == code, name
                codes[code] += 1

        for names in batches(itertools.islice(itertools.cycle(BREAKING), ON_THEIR_OWN), 50):
            await asyncio.gather(*map(send, names))
            assert (await other.ask("health"))["ok"]
        assert len(served._connections) == 1
    assert not [record for record in caplog.records if record.name == "openclaw_nb"]
    words = ", ".join(f"{count} with {code}" for code, count in sorted(codes.items()))
    figure("reliability 11", f"{ON_THEIR_OWN} malformed frames closed {words}; others were served on")


def test_what_a_plain_handler_dies_of(figure: Callable[[str, str], None]) -> None:
    """For comparison: the nine kinds of messages, and a handler as one writes it."""

    def handle(raw: bytes) -> str:
        try:
            frame = json.loads(raw)
        except json.JSONDecodeError:
            return json.dumps({"error": "invalid request frame"})
        return json.dumps({"id": frame["id"], "method": frame["method"]})

    nine = {
        "random bytes": b"\x9f\x10\xfe{", "depth": b"[" * DEEP, "not a number": b'{"id":NaN,"method":"m"}',
        "5,000 digits": b'{"id":' + b"9" * 5_000 + b"}", "duplicate keys": b'{"id":1,"id":2,"method":"m"}',
        "cut short": b'{"id":"7","meth', "cut UTF-8": b'{"id":"\xe2\x82","method":"m"}', "no request": b"null",
        "an empty one": b"",
    }  # fmt: skip
    died = []
    for name, raw in nine.items():
        try:
            handle(raw)
        except Exception as error:
            died.append(f"{name} ({type(error).__name__})")
    assert len(died) >= 5
    figure("reliability 11", f"a plain json.loads handler dies of {len(died)} of 9 kinds: {', '.join(died)}")


# -- memory ----------------------------------------------------------------------------------------

SERVE = """
    import asyncio, sys
    from openclaw_nb.gateway import Gateway

    async def main():
        async with Gateway(token="T") as gateway:
            print(gateway.port, flush=True)
            await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())
"""


LARGEST = MAX_FRAME // 2**20
LISTS = MAX_FRAME // 3 - 40
ATTACKS: dict[str, tuple[bytes, int]] = {
    "a message of 25 MiB": (framed(b" " * MAX_FRAME), 4 * LARGEST),
    "8.7 million lists": (
        framed(b'{"type":"req","id":"7","method":"m","params":{"a":[' + b"[]," * LISTS + b"0]}}"),
        800,
    ),
    "100,000 fragments": (framed(b"[", fin=False) + framed(b"[", 0, fin=False) * 100_000 + framed(b"[", 0), 16),
    "200,000 of nothing": (framed(b"", fin=False) + framed(b"", 0, fin=False) * 200_000 + framed(b"", 0), 16),
    "fragments without end": (framed(b"[", fin=False) + framed(b"[" * 100_000, 0, fin=False) * 300, 3 * LARGEST),
}
"""What a client may send, and the MiB that it may cost: a message, its copy, and 64 bytes for each value in it."""


class Served:
    """A gateway in a process of its own, whose memory can be told from ours."""

    def __enter__(self) -> Served:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"ws://127.0.0.1:{self._process.stdout.readline().strip()}"
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()

    def mib(self, what: str = "VmHWM") -> int:
        """Its memory; VmHWM is the most since this was last asked."""
        process = Path(f"/proc/{self._process.pid}")
        found = re.search(rf"{what}:\s*(\d+) kB", (process / "status").read_text())
        (process / "clear_refs").write_text("5")
        assert found is not None
        return int(found[1]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
@asynchronous
async def test_what_one_client_can_make_a_gateway_hold(figure: Callable[[str, str], None]) -> None:
    """It is let in, so messages of 25 MiB are its right; what they cost is bounded, and given back."""
    told = {}
    with Served() as served:
        before = served.mib()
        for name, (data, limit) in ATTACKS.items():
            async with dialled(served) as raw:  # type: ignore[arg-type]
                await raw.send(hello("T"))
                assert (await raw.reply("hello"))["ok"]
                start = served.mib("VmRSS")
                raw.ws.transport.write(data)
                if name == "fragments without end":
                    assert await closed_with(raw.ws) == 1009
                else:
                    assert await replies_until(raw, "sound")
                told[name] = served.mib() - start
            assert told[name] < limit, name
        assert served.mib("VmRSS") < before + 4 * LARGEST
    words = ", ".join(f"{name} {mib}" for name, mib in told.items())
    figure("memory", f"MiB at most that one client, let in, made a gateway hold: {words}")


@asynchronous
async def test_a_client_that_asks_and_does_not_read(figure: Callable[[str, str], None]) -> None:
    count = 40_000
    async with Gateway() as served, let_in(served) as raw:
        (connection,) = served._connections
        assert connection._transport is not None
        transport, held = connection._transport.underlying_transport, 0
        raw.ws.transport.pause_reading()
        raw.ws.transport.write(framed(encode({"type": "req", "id": "x" * 250, "method": "health"})) * count)
        for _ in range(150):
            await asyncio.sleep(0.01)
            held = max(held, transport.get_write_buffer_size() + sum(map(len, connection._out)))
        raw.ws.transport.resume_reading()
        assert len(await replies_until(raw, "sound")) == count
    assert held < 6 * 2**20
    figure(
        "memory", f"{count:,} requests of a client that does not read: {held / 2**20:.1f} MiB of answers wait at most"
    )
