"""Figures and pictures of the notebook as images, their limits, and attachments as they come in."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

import IPython.display
import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from openclaw_nb.errors import ConfigError, RequestError
from openclaw_nb.models.base import Image
from openclaw_nb.prompts import images
from openclaw_nb.prompts.images import (
    IMAGE_BYTES,
    LONG_SIDE,
    attachment,
    check_together,
    image_of,
    in_short,
    received,
    seen,
)
from openclaw_nb.prompts.pictures import look

pytestmark = pytest.mark.leaks("matplotlib keeps the fonts open that it has read")


def figure(width: float = 6.4, height: float = 4.8, dpi: float = 100) -> Figure:
    made = Figure((width, height), dpi=dpi)
    made.add_subplot().plot([1, 3, 2])
    return made


def photo(size: tuple[int, int] = (64, 48), kind: str = "JPEG", **options: Any) -> bytes:
    file = BytesIO()
    PIL.Image.radial_gradient("L").resize(size).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def noise(side: int, kind: str = "PNG") -> PIL.Image.Image:
    return PIL.Image.fromarray(np.random.default_rng(5).integers(0, 256, (side, side, 3), dtype=np.uint8))


def made(value: object) -> Image:
    image = image_of("x", value)
    assert image is not None
    return image


def opened(image: Image) -> PIL.Image.Image:
    return PIL.Image.open(BytesIO(b64decode(image["data"])))


class Grid:
    """What seaborn gives: an object with a figure, which it shows."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure


class Shown:
    def __init__(self, **forms: Any) -> None:
        self.forms = forms

    def _repr_png_(self) -> Any:
        return self.forms.get("png")

    def _repr_jpeg_(self) -> Any:
        return self.forms.get("jpeg")


# -- what is an image ----------------------------------------------------------------------------


def test_a_figure_and_its_parts() -> None:
    whole = figure()
    [part] = whole.axes
    inner = Figure((6.4, 4.8)).subfigures(1, 2)[0].add_subplot()
    for value in (whole, part, Grid(whole), part.lines[0]):
        assert made(value) == made(whole)
    assert opened(made(inner)).size[0] > 100
    assert opened(made(whole)).format == "PNG"
    assert made(whole)["name"] == "x"
    width, height = opened(made(whole)).size
    assert 400 < width < 660
    assert 300 < height < 500


def test_a_figure_is_left_as_it_was() -> None:
    whole = figure(dpi=300)
    before = whole.dpi, whole.canvas, tuple(whole.get_size_inches())
    made(whole)
    assert (whole.dpi, whole.canvas, tuple(whole.get_size_inches())) == before


def test_no_more_of_a_figure_is_drawn_than_is_sent() -> None:
    drawn = opened(made(figure(700, 350)))  # 70,000 pixels wide, which matplotlib refuses to draw
    assert max(drawn.size) <= LONG_SIDE
    assert max(drawn.size) > 1_000


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "I", "F", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_a_picture_of_any_mode(mode: str) -> None:
    image = made(PIL.Image.new(mode, (30, 20)))
    assert (image["mime"], opened(image).size) == ("image/png", (30, 20))


def test_what_shows_itself() -> None:
    data = photo(kind="PNG")
    forms = (data, b64encode(data).decode(), (data, {"width": 5}))
    assert {made(Shown(png=form))["data"] for form in forms} == {made(Shown(png=data))["data"]}
    assert made(Shown(jpeg=photo()))["mime"] == "image/jpeg"
    assert made(IPython.display.Image(data=photo()))["mime"] == "image/jpeg"
    assert made(IPython.display.Image(data=data))["mime"] == "image/png"


def test_what_is_no_image() -> None:
    class Lazy:
        @property
        def figure(self) -> object:
            raise OSError("not read")

    for value in ("x", [1], np.zeros((4, 4, 3)), Shown(), Shown, Lazy(), Grid("no figure"), None, PIL.Image, Figure):  # type: ignore[arg-type]
        assert image_of("x", value) is None


def test_an_address_is_no_image() -> None:
    with pytest.raises(
        ConfigError, match=r"^logo is the address of an image; read it first, with Image\(…, embed=True\)$"
    ):
        image_of("logo", IPython.display.Image(url="http://127.0.0.1:9/x.png"))


@pytest.mark.parametrize("data", [b"<svg/>", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"IHDR" * 9, photo()[:300]])
def test_bytes_that_are_no_picture(data: bytes) -> None:
    with pytest.raises(ConfigError) as error:
        image_of("logo", IPython.display.Image(data=data, format="png"))
    assert str(error.value).startswith("logo ")
    assert " at 0x" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_figure_that_cannot_be_drawn() -> None:
    wrong = figure()
    wrong.axes[0].set_title("$\\no_such_symbol$")
    with pytest.raises(ConfigError, match=r"^x cannot be made an image: ValueError: "):
        image_of("x", wrong)


# -- what is sent of it --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(4000, 1000), (1000, 4000), (1569, 1569)])
def test_scaled_down(size: tuple[int, int]) -> None:
    sent = opened(made(PIL.Image.new("RGB", size)))
    assert max(sent.size) == LONG_SIDE
    assert abs(sent.size[0] / sent.size[1] - size[0] / size[1]) < 0.01


def test_a_picture_of_the_user_is_left_as_it_was() -> None:
    mine = PIL.Image.new("RGB", (4000, 1000))
    made(mine)
    assert mine.size == (4000, 1000)


def test_nothing_but_pixels() -> None:
    exif = PIL.Image.Exif()
    exif[0x010F] = "PLANTED"
    exif[0x0112] = 6  # turned by 90°
    data = photo(exif=exif, comment=b"PLANTED") + b"PLANTED"
    for value in (IPython.display.Image(data=data), PIL.Image.open(BytesIO(data))):
        image = made(value)
        assert b"PLANTED" not in b64decode(image["data"])
        assert image["mime"] == "image/jpeg"
        assert opened(image).size == (48, 64)


def test_what_is_transparent_stays_so() -> None:
    assert opened(made(PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 0)))).getpixel((0, 0)) == (255, 0, 0, 0)
    see_through = PIL.Image.new("P", (4, 4))
    see_through.info["transparency"] = 0
    assert opened(made(see_through)).getpixel((0, 0))[3] == 0  # type: ignore[index]


def test_a_photo_too_big_for_a_png_is_a_jpeg() -> None:
    image = made(noise(1500))
    assert image["mime"] == "image/jpeg"
    assert len(b64decode(image["data"])) < IMAGE_BYTES


def test_the_same_twice() -> None:
    assert made(figure()) == made(figure())


def test_without_pillow_it_goes_as_it_is_but_for_its_metadata() -> None:
    code = f"""
import sys
sys.modules["PIL"] = None
from base64 import b64decode
from IPython.display import Image
from openclaw_nb.prompts.images import image_of
data = {photo((2000, 10), comment=b"PLANTED")!r}
image = image_of("x", Image(data=data))
print(image["mime"], b"PLANTED" in b64decode(image["data"]), len(b64decode(image["data"])) > 300)
try:
    image_of("x", Image(data=data[:-2] + b"x" * 6_000_000))
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.startswith("image/jpeg False True\nConfigError x is an image of 6,0"), ran.stderr


def test_together_they_are_bounded() -> None:
    big: Image = {"name": "big", "mime": "image/png", "data": "A" * 4_000_000}
    check_together([big] * 6)
    with pytest.raises(ConfigError, match=r"may have 18,000,000 bytes together, and these have 21,000,000$"):
        check_together([big] * 7)


def test_in_words() -> None:
    assert in_short(made(PIL.Image.new("RGB", (640, 480)))) == "[image: x, 640x480]"
    assert in_short({"name": "x\ny", "mime": "image/png", "data": "?"}) == "[image: x y]"
    assert seen(made(PIL.Image.new("RGB", (640, 480)))) == ("image/png", 640, 480)


# -- attachments ---------------------------------------------------------------------------------


def wire(image: Image, **others: str) -> tuple[str, str, str]:
    told = attachment(image) | others
    assert told["type"] == "image"
    return told["fileName"], told["mimeType"], told["content"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_what_was_sent_comes_in(kind: str) -> None:
    data = b64encode(photo(kind=kind)).decode()
    image: Image = {"name": "x", "mime": f"image/{kind.lower()}", "data": data}
    assert received([wire(image)]) == (image,)


GOOD: Image = {"name": "x", "mime": "image/png", "data": b64encode(photo(kind="PNG")).decode()}

HOSTILE = {
    "another type": ({"mimeType": "image/jpeg"}, "attachment 'x' is image/png, not image/jpeg"),
    "no type of a picture": ({"mimeType": "text/html\n<b>"}, "attachment 'x' is image/png, not text/html <b>"),
    "svg": ({"mimeType": "image/svg+xml", "content": b64encode(b"<svg onload=x>").decode()}, "no image that is known"),
    "no base64": ({"content": "%%%"}, "attachment 'x' is no base64"),
    "base64 with breaks": ({"content": GOOD["data"][:40] + "\n" + GOOD["data"][40:]}, "attachment 'x' is no base64"),
    "a data address": ({"content": "data:image/png;base64," + GOOD["data"]}, "attachment 'x' is no base64"),
    "no ASCII": ({"content": "ä" * 8}, "attachment 'x' is no base64"),
    "nothing": ({"content": ""}, "no image that is known"),
    "too big": ({"content": "A" * 7_000_000}, "attachment 'x' is too big: an image has at most 5,000,000 bytes"),
    "an odd name": ({"fileName": "a\x1b[31m\nb"}, "needs a name that can be shown"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_not_what_it_says(what: str) -> None:
    others, words = HOSTILE[what]
    with pytest.raises(RequestError) as error:
        received([wire(GOOD), wire(GOOD, **others)])
    assert words in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_too_many_come_in() -> None:
    with pytest.raises(RequestError, match="a prompt holds 8 images, and x is one more"):
        received([wire(GOOD)] * 9)


def test_the_limit_is_one_of_bytes() -> None:
    most = photo(kind="PNG").ljust(IMAGE_BYTES, b"\0")
    assert look(most)
    [image] = received([("x", "image/png", b64encode(most).decode())])
    assert len(b64decode(image["data"])) == IMAGE_BYTES
    with pytest.raises(RequestError, match="too big"):
        received([("x", "image/png", b64encode(most + b"\0\0\0").decode())])
    assert images.ALL_BYTES * 4 / 3 < 26_214_400 - 2_000_000  # a frame, with room for text
