"""Images that go with a prompt: figures and pictures of the notebook as PNG or JPEG, and as attachments on the wire."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, RequestError, one_line
from .kinds import is_a
from .pictures import MIMES, Seen, look, stripped

if TYPE_CHECKING:
    from ..models.base import Image

__all__ = [
    "IMAGE_BYTES", "LONG_SIDE", "MOST_IMAGES", "attachment", "check_together", "image_of", "images_of", "in_short",
    "picture", "received", "seen",
]  # fmt: skip

LONG_SIDE = 1568
"""Pixels of the longer side that are sent at most: Anthropic scales down what is larger, OpenAI looks at 2,048 at most
and at 768 of the shorter side, Google at tiles of 768 (their documentation of vision)."""

IMAGE_BYTES = 5_000_000
"""Bytes of one image: what a real OpenClaw gateway takes of an attachment, and Anthropic (5 MB) of an image."""

MOST_IMAGES = 8
"""Images of one prompt."""

ALL_BYTES = 18_000_000  # of the images of one prompt, which in base64 have to fit into one frame of 25 MiB

QUALITY = 85  # of a JPEG

LEAST_DPI = 10  # below it letters are smaller than a pixel, which matplotlib cannot draw

_HEAD = 4_096  # characters of base64; behind them is no size, but of a JPEG


def image_of(name: str, value: object) -> Image | None:
    """``value`` as an image called ``name``, without metadata and scaled down to LONG_SIDE; None where it is none.

    A matplotlib figure or what belongs to one (axes, a seaborn grid), a PIL image, an IPython Image, and whatever shows
    itself as PNG or JPEG. Without Pillow it stays as large as it is. ConfigError for one that is too big, or only an
    address.
    """
    with _explained(name):
        found = _picture(name, value)
    return None if found is None else picture(name, found)


def picture(name: str, found: Any) -> Image:
    """A PIL image, or the bytes of a picture file, as `image_of` makes an image of it."""
    with _explained(name):
        data = _encoded(found)
    if (facts := look(data)) is None:
        raise ConfigError(f"{name} is no PNG, JPEG, WebP or GIF")
    if len(data) > IMAGE_BYTES:
        raise ConfigError(f"{name} is an image of {len(data):,} bytes, and one may have {IMAGE_BYTES:,}")
    return {"name": name, "mime": facts.mime, "data": b64encode(data).decode()}


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # whatever a library raises
        raise ConfigError(f"{name} cannot be made an image: {type(error).__name__}: {one_line(error)}") from error


def images_of(values: Iterable[object]) -> list[Image]:
    """Each of these values as an image: image1, image2, …; ConfigError as `image_of`, and for one that is none."""
    images = []
    for number, value in enumerate(values, 1):
        image = image_of(f"image{number}", value)
        if image is None:
            raise ConfigError(f"images[{number - 1}] is no figure or picture but {one_line(type(value).__name__, 80)}")
        images.append(image)
        check_together(images)
    return images


def check_together(images: Sequence[Image]) -> None:
    """ConfigError where these are more than one message holds."""
    if len(images) > MOST_IMAGES:
        raise ConfigError(f"a prompt holds {MOST_IMAGES} images, and {images[MOST_IMAGES]['name']} is one more")
    size = sum(len(image["data"]) for image in images) * 3 // 4
    if size > ALL_BYTES:
        raise ConfigError(f"the images of a prompt may have {ALL_BYTES:,} bytes together, and these have {size:,}")


def seen(image: Mapping[str, Any]) -> Seen | None:
    """What the bytes of an image say of it; None where they are none."""
    with suppress(ValueError, TypeError, KeyError):
        return look(b64decode(image["data"][:_HEAD])) or look(b64decode(image["data"]))
    return None


def in_short(image: object) -> str:
    """An image in words, wherever its bytes are of no use: "[image: fig, 640x480]". A store may keep something else."""
    known = image if isinstance(image, Mapping) else {}
    facts = seen(known)
    return f"[image: {one_line(known.get('name', '?'), 80)}{f', {facts.width}x{facts.height}' if facts else ''}]"


# -- on the wire ---------------------------------------------------------------------------------


def attachment(image: Image) -> dict[str, str]:
    """An image as `chat.send` takes it; a real gateway goes by the bytes where they say another type."""
    return {"type": "image", "mimeType": image["mime"], "fileName": image["name"], "content": image["data"]}


def received(attachments: Iterable[tuple[str, str, str]]) -> tuple[Image, ...]:
    """The images in attachments, each a name, a type and base64; RequestError for what is not what it says it is."""
    images: list[Image] = []
    for name, mime, content in attachments:
        what = f"attachment {one_line(name, 80)!r}"
        if not name.isprintable():
            raise RequestError(f"{what} needs a name that can be shown")
        if len(content) > (IMAGE_BYTES + 2) // 3 * 4:
            raise RequestError(f"{what} is too big: an image has at most {IMAGE_BYTES:,} bytes")
        try:
            facts = look(b64decode(content, validate=True))
        except (ValueError, binascii.Error):
            raise RequestError(f"{what} is no base64") from None
        if facts is None or facts.mime != mime or mime not in MIMES:
            found = facts.mime if facts else "no image that is known"
            raise RequestError(f"{what} is {found}, not {one_line(mime, 80)}")
        images.append({"name": name, "mime": mime, "data": content})
    try:
        check_together(images)
    except ConfigError as error:
        raise RequestError(str(error)) from None
    return tuple(images)


# -- from a value to bytes -----------------------------------------------------------------------


def _picture(name: str, value: Any) -> Any:
    """A PIL image, or the bytes of a picture; None for a value that is no picture."""
    if is_a(value, "PIL.Image", "Image"):
        return value
    if (figure := _figure(value)) is not None:
        return _drawn(figure)
    if is_a(value, "IPython.core.display", "Image"):
        if value.data is None:
            raise ConfigError(f"{name} is the address of an image; read it first, with Image(…, embed=True)")
        return value.data
    for method in ("_repr_png_", "_repr_jpeg_"):
        if callable(getattr(type(value), method, None)) and not isinstance(value, type):
            shown = getattr(value, method)()
            shown = shown[0] if isinstance(shown, tuple) else shown  # with metadata, as IPython has it
            shown = b64decode(shown) if isinstance(shown, str) else shown
            if isinstance(shown, bytes):
                return shown
    return None


def _figure(value: Any) -> Any:
    """The matplotlib figure that a value is, or is a part of."""
    for _ in range(3):  # axes in a figure in a figure
        if is_a(value, "matplotlib.figure", "Figure"):
            return value
        try:
            value = value.figure
        except Exception:
            return None
    return None


def _drawn(figure: Any) -> bytes:
    """A figure as a PNG, as Jupyter shows it; no more is drawn than is sent."""
    inches = max(*figure.get_size_inches(), 0.01)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight", dpi=min(figure.dpi, max(LONG_SIDE / inches, LEAST_DPI)))
    return drawn.getvalue()


def _encoded(found: Any) -> bytes:
    """A picture as it is sent: upright, no larger than needed, nothing but pixels in it."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return stripped(found)
    if isinstance(found, bytes) and look(found) is None:
        return found
    opened = Image.open(BytesIO(found)) if isinstance(found, bytes) else found
    picture = ImageOps.exif_transpose(opened)
    clear = "A" in picture.getbands() or "transparency" in picture.info
    if picture.mode not in ("L", "RGB") or clear:
        picture = picture.convert("RGBA" if clear else "RGB")
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    data = _saved(picture, "JPEG" if opened.format == "JPEG" else "PNG")
    if len(data) > IMAGE_BYTES:  # a photo is no PNG
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture if clear else None)
        data = _saved(white, "JPEG")
    return data


def _saved(picture: Any, kind: str) -> bytes:
    saved = BytesIO()
    picture.save(saved, kind, **({"quality": QUALITY} if kind == "JPEG" else {}))
    return stripped(saved.getvalue())
