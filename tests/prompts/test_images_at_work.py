"""Images on their way: from a value to the model, in every later turn, in snapshots, and nowhere as bytes in words."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from openclaw_nb import Gateway, OpenClawAgent, OpenClawClient, Runtime
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.models.base import Image, ModelEvent, ModelRequest, TextDelta
from openclaw_nb.prompts.images import attachment, image_of
from openclaw_nb.sessions.comparison import compare
from openclaw_nb.sessions.memory import cut_in
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.wording import exchange
from tests.foreign import foreign
from tests.spine import asynchronous, let_in, serving, soon


def picture(name: str = "fig", seed: int = 1) -> Image:
    """An image of some 60 kB, of which no part comes twice."""
    noise = np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    image = image_of(name, PIL.Image.fromarray(noise))
    assert image is not None
    return image


FIG = picture()


class Seeing:
    """Answers with the names of the images that it is shown in each message."""

    name = "seeing"

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []
        self.hold: asyncio.Event | None = None

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.requests.append(request)
        yield TextDelta(str([[image["name"] for image in m.get("images", ())] for m in request.messages]))
        if self.hold is not None:
            await self.hold.wait()


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def has_bytes(text: str) -> bool:
    return any(FIG["data"][at : at + 40] in text for at in range(0, 4_000, 40))


@asynchronous
async def test_a_model_sees_them_in_every_turn() -> None:
    model = Seeing()
    async with serving(model) as (gateway, client):
        assert await client.send("what is `fig`?", attachments=[attachment(FIG)]) == "[['fig']]"
        assert await client.send("and now?", attachments=[attachment(picture("b", 2))]) == "[['fig'], [], ['b']]"
        assert await client.send("sure?") == "[['fig'], [], ['b'], [], []]"
        assert model.requests[2].messages[0] == {"role": "user", "content": "what is `fig`?", "images": [FIG]}
        assert gateway.engine.history("main")[:-1] == model.requests[2].messages


@asynchronous
async def test_history_tells_what_they_are() -> None:
    async with serving(Seeing()) as (_, client):
        await client.send("what is `fig`?", attachments=[attachment(FIG)])
        history = await client.request("chat.history", {"sessionKey": "main"})
        texts = [{"type": "text", "text": "what is `fig`?"}, {"type": "text", "text": "[image: fig, 160x120]"}]
        assert history["messages"][0] == {"role": "user", "content": texts}
        assert not has_bytes(str(history))


@asynchronous
async def test_a_snapshot_keeps_each_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with Gateway(model=Seeing(), store=SnapshotStore(path)) as gateway, OpenClawClient(token=gateway.token) as c:
        await c.connect(gateway.url)
        await c.send("what is `fig`?", attachments=[attachment(FIG)])
        for again in range(10):
            await c.send(f"and now? {again}")
    with SnapshotStore(path) as store:
        snapshots = store.list()
        sizes = sorted(snapshot.size for snapshot in snapshots)
        assert sizes[-1] > len(FIG["data"]) > 50_000
        assert sum(sizes) < len(FIG["data"]) + 5_000
        assert snapshots[-1].state["messages"][0]["images"] == [FIG]
        assert path.stat().st_size < 2 * len(FIG["data"])


@asynchronous
async def test_nowhere_in_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = SnapshotStore()
    async with Gateway(model=Seeing(), store=store) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        run = client.send("what is `fig`?", attachments=[attachment(FIG)])
        await run
        first = store.list()[-1]
        await client.send("and now?")
        last = store.list()[-1]
        said = exchange(last.state["messages"])
        assert said[0] == ("you", "what is `fig`? [image: fig, 160x120]")
        compared = compare(store, last, store.put({"messages": []}))
        words = (
            *map(str, (said, compared, store.diff(first, last), store)),
            *map(repr, (run, await run, first, last, gateway, client, compared, cut_in(last))),
            compared._repr_mimebundle_()["text/html"], repr(Turn("id", "go", images=(FIG,))), caplog.text,
        )  # fmt: skip
        assert "[image: fig, 160x120]" in str(compared)
        assert not [text for text in words if has_bytes(text)]


def test_a_store_may_keep_anything() -> None:
    odd = [
        {"role": "user", "content": "x", "images": images} for images in (5, [5], [{}], [{"name": "a\nb", "data": 5}])
    ]
    assert [text for _, text in exchange(odd)] == ["x", "x [image: ?]", "x [image: ?]", "x [image: a b]"]


@asynchronous
async def test_the_same_key_is_the_same_images() -> None:
    model = Seeing()
    async with serving(model) as (_, client):
        sent = {"session": "s", "idempotency_key": "k", "attachments": [attachment(FIG)]}
        assert await client.send("go", **sent) == await client.send("go", **sent) == "[['fig']]"
        with pytest.raises(RunError, match="already used for another message"):
            await client.send("go", **sent | {"attachments": [attachment(picture(seed=3))]})
        with pytest.raises(RunError, match="already used for another message"):
            await client.send("go", **sent | {"attachments": []})
        assert len(model.requests) == 1


@asynchronous
async def test_the_same_key_later_is_the_same_images(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    sent = {"session": "s", "idempotency_key": "k", "attachments": [attachment(FIG)]}
    for model in (Seeing(), Seeing()):  # another gateway's life
        async with Gateway(model=model, store=SnapshotStore(path)) as gateway, OpenClawClient(token=gateway.token) as c:
            await c.connect(gateway.url)
            assert await c.send("go", **sent) == "[['fig']]"
    assert model.requests == []
    async with Gateway(model=model, store=SnapshotStore(path)) as gateway, OpenClawClient(token=gateway.token) as c:
        await c.connect(gateway.url)
        with pytest.raises(RunError, match="already used for another message"):
            await c.send("go", **sent | {"attachments": []})


# -- what comes in -------------------------------------------------------------------------------

GOOD = attachment(FIG)

HOSTILE: dict[str, tuple[Any, str]] = {
    "no list": (5, "Expected `array`"),
    "no object": (["x"], "Expected `object`"),
    "another kind": ([GOOD | {"type": "file"}], "is no image, and this gateway takes nothing else"),
    "without content": ([{"type": "image", "mimeType": "image/png", "fileName": "x"}], "is no image that is known"),
    "an address": ([GOOD | {"content": "http://127.0.0.1:9/x.png"}], "is no base64"),
    "another type": ([GOOD | {"mimeType": "image/gif"}], "is image/png, not image/gif"),
    "a long name": ([GOOD | {"fileName": "x" * 300}], "at most 256"),
    "a script": ([GOOD | {"mimeType": "image/svg+xml", "content": b64encode(b"<svg/>").decode()}], "no image that is"),
    "too many": ([GOOD] * 9, "a prompt holds 8 images"),
    "too big": ([GOOD | {"content": "A" * 7_000_000}], "at most 5,000,000 bytes"),
}  # fmt: skip


@asynchronous
async def test_attachments_that_are_refused() -> None:
    model = Seeing()
    async with Gateway(model=model) as gateway, let_in(gateway) as raw:
        for what, (attachments, words) in HOSTILE.items():
            reply = await raw.ask(
                "chat.send", sessionKey="main", message="go", idempotencyKey=what, attachments=attachments
            )
            assert not reply["ok"], what
            assert reply["error"]["code"] == "INVALID_REQUEST", what
            assert words in reply["error"]["message"], what
            assert len(reply["error"]["message"]) < 400, what
        assert model.requests == []
        sent = await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey="good", attachments=[GOOD])
        assert sent["payload"] == {"runId": "good", "status": "started"}
        await raw.event("chat", runId="good", state="final")


@asynchronous
async def test_as_large_as_they_may_be() -> None:
    """Three of 5 MB, as much as one frame holds."""
    saved = BytesIO()
    PIL.Image.new("L", (2, 2)).save(saved, "PNG")
    whole = b64encode(saved.getvalue().ljust(5_000_000, b"\0")).decode()
    image: Image = {"name": "big", "mime": "image/png", "data": whole}
    async with serving(Seeing()) as (_, client):
        assert await client.send("go", attachments=[attachment(image)] * 3) == "[['big', 'big', 'big']]"
        with pytest.raises(RunError, match=r"18,000,000 bytes together|more than the 26,214,400 of one message"):
            await client.send("go", attachments=[attachment(image)] * 4)
        assert await client.send("still there?") == "[['big', 'big', 'big'], [], []]"


@asynchronous
async def test_a_real_gateway_is_told_them_in_its_own_way() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go", attachments=[attachment(FIG)])
        await soon(lambda: gateway.runs)
        [params] = gateway.sent
        assert params["attachments"] == [
            {"type": "image", "mimeType": "image/png", "fileName": "fig", "content": FIG["data"]}
        ]
        await gateway.say(run.id, "seen", "final")
        assert await run == "seen"


# -- from Python, and gone on with ---------------------------------------------------------------


def test_an_agent_takes_values() -> None:
    agent = OpenClawAgent("looker", model=Seeing())
    assert agent.analyze("look", images=[PIL.Image.new("L", (2, 2)), PIL.Image.new("L", (3, 3))]).result(60) == (
        "[['image1', 'image2']]"
    )
    with pytest.raises(ConfigError, match=r"^images\[1\] is no figure or picture but list$"):
        agent.analyze("look", images=[PIL.Image.new("L", (2, 2)), [1]])


def test_a_run_that_is_gone_on_with_has_them() -> None:
    model = Seeing()
    agent = OpenClawAgent("looker", model=model)
    model.hold = asyncio.Event()
    run = agent.analyze("look", images=[PIL.Image.new("L", (2, 2))])
    next(iter(run))
    run.cancel()
    stopped = run.result(60)
    model.hold = None
    assert agent.resume_from(stopped.snapshot).result(60) == "[['image1']]"
    assert [image["name"] for image in model.requests[-1].messages[0]["images"]] == ["image1"]


def test_a_run_that_has_ended_is_answered_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", str(tmp_path))
    done = OpenClawAgent("looker", model=Seeing()).analyze("look", images=[PIL.Image.new("L", (2, 2))]).result(60)
    running = Runtime.running()
    assert running is not None
    running.close()
    model = Seeing()
    assert OpenClawAgent("looker", model=model).resume_from(done.snapshot).result(60) == done
    assert model.requests == []
