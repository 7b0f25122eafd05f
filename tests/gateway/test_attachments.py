"""Attachments: pictures in the forms that clients send them, and what is none."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from openclaw_nb.errors import RequestError
from openclaw_nb.gateway.attachments import images_of
from tests.gateway.test_chats import PNG

DATA = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"type": "image", "mimeType": "image/png", "fileName": "a.png", "content": DATA}, "a.png"),
        ({"mimeType": "image/png", "content": DATA}, "image 1"),
        ({"content": f"data:image/png;base64,{DATA}", "width": 1, "sizeBytes": 70}, "image 1"),
    ],
)
def test_pictures(given: dict[str, Any], name: str) -> None:
    assert images_of([given]) == ({"name": name, "mime": "image/png", "data": DATA},)
    assert images_of([]) == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"type": "file", "fileName": "a.pdf", "content": DATA}, "'a.pdf' is no image"),
        ({"mimeType": "image/jpeg", "content": DATA}, "is image/png, not image/jpeg"),
        ({"mimeType": "image/png", "content": "no base64"}, "is no base64"),
        ({"mimeType": "image/png", "content": {"path": "/etc/passwd"}}, "attachment 1 is none"),
        ("text", "attachment 1 is none"),
    ],
)
def test_what_is_no_picture(given: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        images_of([given])
