"""files: what a path or a value is as a file, and what is never one."""

from __future__ import annotations

import json
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from openclaw_nb.errors import ConfigError
from openclaw_nb.prompts.files import FILE_BYTES, File, file_of


def made(name: str, value: object) -> File:
    file = file_of(name, value)
    assert isinstance(file, File)
    return file


@pytest.mark.parametrize(
    ("value", "name", "mime", "text"),
    [
        ("grüße\n", "it.txt", "text/plain", "grüße\n"),
        (pd.DataFrame({"a": [1]}), "it.csv", "text/csv", ",a\n0,1\n"),
        (b"a,b\n", "it", "text/plain", "a,b\n"),
        (b"\xef\xbb\xbfa", "it", "text/plain", "a"),
        ({"a": None}, "it.json", "application/json", json.dumps({"a": None}, indent=1)),
    ],
)
def test_values(value: object, name: str, mime: str, text: str) -> None:
    file = made("it", value)
    assert (file.name, file.mime, file.text) == (name, mime, text)
    assert file.data == text.encode()


def test_a_path_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "plan.pdf"
    path.write_bytes(b"%PDF-1.4 \xff\xfe")
    file = made("plan.pdf", path)
    assert (file.name, file.mime, file.text) == ("plan.pdf", "application/pdf", None)
    with pytest.raises(ConfigError, match=r"gone\.txt cannot be read: No such file"):
        file_of("gone.txt", tmp_path / "gone.txt")


def test_a_picture_is_an_image_without_what_is_no_picture(tmp_path: Path) -> None:
    drawn = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (4, 3), "red").save(drawn, "JPEG", exif=exif)
    assert b"taken at home" in drawn.getvalue()
    path = tmp_path / "photo.jpg"
    path.write_bytes(drawn.getvalue())
    image: Any = file_of("photo.jpg", path)
    assert (image["name"], image["mime"]) == ("photo.jpg", "image/jpeg")
    assert b"taken at home" not in b64decode(image["data"])


def test_a_secret_has_its_name_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-planted-0123456789abcdef")
    file = made("env", "key=sk-planted-0123456789abcdef\n")
    assert "planted" not in str(file.text)
    assert b"planted" not in file.data
    with pytest.raises(ConfigError, match=r"holds the secret .*MY_API_KEY"):
        file_of("dump", b"\xff\x00 sk-planted-0123456789abcdef")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "it is object; what can go along"),
        ({"a": object()}, "it cannot be written as a file: TypeError"),
        (b"", "it is empty"),
        (b"\xff" * (FILE_BYTES + 1), "it has 19,464,193 bytes"),
    ],
)
def test_what_cannot_go_along(value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        file_of("it", value)


def test_a_name_makes_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "fake.png"
    path.write_text("no pixel", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"fake\.png is no picture"):
        file_of("fake.png", path)


def test_a_file_that_is_too_big_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(FILE_BYTES + 1)
    with pytest.raises(ConfigError, match=r"big\.bin has 19,464,193 bytes"):
        file_of("big.bin", path)
