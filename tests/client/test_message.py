"""What a message is sent with: nothing that is not wished for, and nothing that no frame can say."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.client.message import check_place, params_of, wishes_of
from openclaw_nb.errors import ConfigError

PLAIN: dict[str, Any] = {
    "agent": "main", "session": "s", "thinking": "low", "model": None, "attachments": (), "output": None,
}  # fmt: skip


def test_params() -> None:
    assert params_of("go\ud800", "k", **PLAIN) == {
        "sessionKey": "agent:main:s", "message": "go\ud800", "idempotencyKey": "k", "thinking": "low",
    }  # fmt: skip
    more = {"model": "m", "attachments": ({"type": "image"},), "output": {"name": "n"}, "session": "agent:x:y"}
    told = params_of("go", "k", **PLAIN | more)
    assert told["sessionKey"] == "agent:x:y"
    assert (told["model"], told["attachments"], told["output"]) == ("m", [{"type": "image"}], {"name": "n"})


@pytest.mark.parametrize(
    ("prompt", "more"), [(b"bytes", {}), (None, {}), ("go", {"attachments": [{"data": object()}]})]
)
def test_what_cannot_be_said(prompt: Any, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        params_of(prompt, "k", **PLAIN | more)


@pytest.mark.parametrize("key", [b"k", 5, "", "k" * 257])
def test_keys_that_are_none(key: Any) -> None:
    with pytest.raises(ConfigError, match=r"^an idempotency_key is text \(str\) of 1 to 256 characters, not "):
        params_of("go", key, **PLAIN)
    assert params_of("go", "k" * 256, **PLAIN)["idempotencyKey"] == "k" * 256


def test_wishes() -> None:
    assert wishes_of(busy="wait", base=None, budget=None, isolated=False) == {}
    wishes = {"busy": "branch", "base": "b", "budget": 0.5, "isolated": True}
    assert wishes_of(**wishes) == wishes  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        wishes_of(busy="wait", base=object(), budget=None, isolated=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("", "main", None, "wait"), "need a name"),
        (("s", "a:b", None, "wait"), "one without a colon"),
        (("s", "a", 0, "wait"), "above 0"),
        (("s", "a", float("nan"), "wait"), "above 0"),
        (("s", "a", None, "later"), "'wait' or 'branch'"),
    ],
)
def test_places_that_are_none(place: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_place(*place)
    check_place("s", "a", 1.0, "branch")
