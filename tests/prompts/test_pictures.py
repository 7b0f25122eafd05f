"""What the bytes of a picture say of it, and that nothing but the picture is left of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import PIL.Image
import PIL.ImageOps
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngInfo

from openclaw_nb.prompts.pictures import MIMES, Seen, look, stripped


def saved(kind: str, size: tuple[int, int] = (37, 21), mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    PIL.Image.radial_gradient("L").resize(size).convert(mode).save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes) -> bytes:
    return PIL.Image.open(BytesIO(data)).convert("RGB").tobytes()


def camera() -> Any:
    exif = PIL.Image.Exif()
    exif[0x010F] = "PLANTED-maker"
    exif.get_ifd(0x8825)[1] = "PLANTED-north"
    return exif


FILES = {
    "png": saved("PNG"),
    "png palette": saved("PNG", mode="P"),
    "gif": saved("GIF"),
    "jpeg": saved("JPEG"),
    "jpeg progressive": saved("JPEG", progressive=True),
    "jpeg grey": saved("JPEG", mode="L"),
    "jpeg cmyk": saved("JPEG", mode="CMYK"),
    "jpeg with exif": saved("JPEG", exif=camera(), comment=b"PLANTED"),
    "webp": saved("WEBP"),
    "webp lossless": saved("WEBP", lossless=True),
    "webp extended": saved("WEBP", mode="RGBA", exif=camera()),
}


@pytest.mark.parametrize("name", FILES)
def test_format_and_size(name: str) -> None:
    assert look(FILES[name]) == Seen(f"image/{name.split()[0]}", 37, 21)
    assert look(FILES[name]).mime in MIMES  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FILES)
def test_a_picture_that_ends_too_early(name: str) -> None:
    data = FILES[name]
    for length in range(min(len(data), 700)):
        look(data[:length])
        stripped(data[:length])
    assert look(data[:7]) is None


@given(st.sampled_from([*FILES.values()]), st.binary(max_size=40), st.integers(0, 200))
def test_a_picture_that_was_tampered_with(data: bytes, other: bytes, at: int) -> None:
    broken = data[:at] + other + data[at + len(other) :]
    look(broken)
    stripped(broken)


@pytest.mark.parametrize(
    "data", [b"", b"<svg/>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVEfmt ", b"GIF89a\0\0"]
)
def test_what_is_no_picture(data: bytes) -> None:
    assert look(data) is None


def test_nothing_but_pixels_is_left_of_a_png() -> None:
    text = PngInfo()
    text.add_text("Author", "PLANTED")
    text.add_itxt("Where", "PLANTED")
    behind = b"\0\0\0\7IDATPLANTED\0\0\0\0"
    data = saved("PNG", pnginfo=text, exif=camera()) + behind
    assert data.count(b"PLANTED") == 5
    clean = stripped(data)
    assert b"PLANTED" not in clean
    assert pixels(clean) == pixels(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_nothing_but_pixels_is_left_of_a_jpeg(options: dict[str, Any]) -> None:
    data = saved("JPEG", exif=camera(), comment=b"PLANTED", icc_profile=b"PLANTED", **options) + b"PLANTED"
    assert data.count(b"PLANTED") == 5
    clean = stripped(data)
    assert b"PLANTED" not in clean
    assert clean.endswith(b"\xff\xd9")
    assert pixels(clean) == pixels(data)


def test_the_colours_of_adobe_stay() -> None:
    data = FILES["jpeg cmyk"]
    assert pixels(stripped(data)) == pixels(data)
    assert b"Adobe" in stripped(data)


def test_what_is_transparent_stays() -> None:
    data = saved("PNG", mode="P", transparency=0)
    assert PIL.Image.open(BytesIO(stripped(data))).info["transparency"] == 0
