"""attachments: what goes along is what its gateway takes, looked at before it is sent."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import pytest
from PIL import Image

from openclaw_nb.errors import ConfigError
from openclaw_nb.prompts import Prompt, parse
from openclaw_nb.prompts.files import File, file_of
from openclaw_nb.prompts.filling import TOTAL_LIMIT
from openclaw_nb.prompts.images import IMAGE_BYTES
from openclaw_nb.remote.attachments import Takes, pack, takes
from tests.household import household
from tests.spine import asynchronous

URI = "ws://gateway"
ALL = Takes(6_291_456, 19_464_192)
CSV = file_of("sales", {"a": 1})
PDF = File("plan.pdf", "application/pdf", b"%PDF\xff")


def png() -> bytes:
    drawn = BytesIO()
    Image.new("RGB", (4, 3), "red").save(drawn, "PNG")
    return drawn.getvalue()


@pytest.mark.parametrize(("protocol", "files", "images"), [(3, 0, IMAGE_BYTES), (4, 19_464_192, 6_291_456)])
@asynchronous
async def test_what_a_gateway_announces(protocol: int, files: int, images: int) -> None:
    async with household(protocol) as (_, client):
        assert takes(await client.hello()) == Takes(images, files)


def test_files_go_along_where_they_are_taken() -> None:
    prompt, sent = pack(Prompt("look"), [PDF, file_of("fig", png())], ALL, URI)
    assert str(prompt) == "look"
    picture, file = sent
    assert (picture["type"], picture["mimeType"], picture["fileName"]) == ("image", "image/png", "fig")
    assert file == {
        "type": "file", "mimeType": "application/pdf", "fileName": "plan.pdf",
        "content": b64encode(b"%PDF\xff").decode(),
    }  # fmt: skip


def test_text_goes_into_the_message_where_no_file_is_taken() -> None:
    prompt, sent = pack(Prompt("look"), [CSV], Takes(), URI)
    assert sent == []
    (data,) = parse(str(prompt)).data
    assert (data.name, data.type) == ("sales.json", "json")
    assert '"a": 1' in data.body


def test_what_is_no_text_is_refused_there() -> None:
    with pytest.raises(ConfigError, match=r"takes pictures and text along, and plan\.pdf is application/pdf"):
        pack(Prompt("look"), [PDF], Takes(), URI)


def test_text_that_is_too_long_is_refused_before_it_is_sent() -> None:
    long = file_of("long", "x" * (TOTAL_LIMIT + 1))
    assert len(pack(Prompt("look"), [long], ALL, URI)[1]) == 1
    with pytest.raises(ConfigError, match="there is room for 60,000"):
        pack(Prompt("look"), [long], Takes(), URI)
    half = file_of("half", "x" * (TOTAL_LIMIT // 2 + 1))
    with pytest.raises(ConfigError, match="there is room for 29,999"):
        pack(Prompt("look"), [half, half], Takes(), URI)


def test_sizes_that_the_gateway_announced() -> None:
    with pytest.raises(ConfigError, match=r"sales\.json has \d+ bytes, and the gateway at ws://gateway takes 3 of one"):
        pack(Prompt("look"), [CSV], Takes(files=3), URI)
    with pytest.raises(ConfigError, match=r"fig has .* takes 10 of one"):
        pack(Prompt("look"), [file_of("fig", png())], Takes(images=10), URI)


def test_all_that_goes_along_has_to_fit_into_one_frame() -> None:
    big = File("big.bin", "application/octet-stream", b"\xff" * 10_000_000)
    assert len(pack(Prompt("look"), [big], ALL, URI)[1]) == 1
    with pytest.raises(ConfigError, match="what goes along has 26,666,672 bytes as base64"):
        pack(Prompt("look"), [big, big], ALL, URI)
