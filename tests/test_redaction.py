"""Redaction: secrets are found in whatever form, other text stays as it is, and the time it takes is linear."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb import redaction, secret
from openclaw_nb.redaction import redact, secret_in, settled
from openclaw_nb.secret import Secret

KEY = "sk-0123456789-abcdef"
ODD = 'p"a\\s s\n<&%é\ud800'
LONG = "A" * 50 + "\n" + "B" * 50


@pytest.fixture(autouse=True, scope="module")
def environment() -> Iterator[None]:
    """Of the environment's own, nothing that looks like a secret; and ours."""
    kept = dict(os.environ)
    for name in kept:
        if redaction._SECRET_NAME.search(name):
            del os.environ[name]
    os.environ["OPENCLAW_NB_TEST_KEY"] = KEY
    os.environ["DB_PASSWORD"] = "pa55word-of-db"
    os.environ["LONG_TOKEN_2"] = LONG
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_PASSPHRASE", ODD.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))


CASES = {
    f"the key is {KEY}.": "the key is env:OPENCLAW_NB_TEST_KEY.",
    f"{KEY}{KEY}": "env:OPENCLAW_NB_TEST_KEYenv:OPENCLAW_NB_TEST_KEY",
    f"x{KEY}x pa55word-of-db": "xenv:OPENCLAW_NB_TEST_KEYx env:DB_PASSWORD",
    "see https://ada:pa55@example.org/a?b=c": "see https://***@example.org/a?b=c",
    "postgres://u:a/b@c@h:5432/db, ftp://tok3n@h": "postgres://***@h:5432/db, ftp://***@h",
    f"https://u:{KEY}@h/": "https://***@h/",
    "Authorization: Bearer abcdefgh": "Authorization: Bearer ***",
    "AUTHORIZATION: basic dXNlcjpwYXNz": "AUTHORIZATION: basic ***",
    "{'Authorization': 'Token 0123456789'}": "{'Authorization': 'Token ***'}",
    '{"proxy-authorization": "0123456789abcdef"}': '{"proxy-authorization": "***"}',
    'curl -H "X-API-Key: 0123456789abcdef" https://h': 'curl -H "X-API-Key: ***" https://h',
    "https://h/?access_token=0123456789abcdef&x=1": "https://h/?access_token=***&x=1",
    "sent Bearer eyJhbGciOiJIUzI1NiJ9.e30.sig": "sent Bearer ***",
    "Cookie: a=b; session=0123456789\nHost: h": "Cookie: ***\nHost: h",
    f"Authorization: Bearer {KEY}": "Authorization: Bearer env:OPENCLAW_NB_TEST_KEY",
    f"stopped at {KEY[:-1]}": "stopped at env:OPENCLAW_NB_TEST_KEY",
    f"stopped at {KEY[:10]}": "stopped at env:OPENCLAW_NB_TEST_KEY",
    json.dumps(LONG): '"env:LONG_TOKEN_2"',
    quote(LONG, safe=""): "env:LONG_TOKEN_2",
}

SAME = [
    "", "sk-012345", f"{KEY[:-1]} ", "https://localhost:8888/@vite/client", "ssh://h/u@v", "https://h?mail=a@b.org",
    "a@b.org", "Authorization: see the chapter on it", "the bearer of these instruments of ownership",
    "Cookie: two eggs, flour", "the secret_key is a str", "session-token: none", "\ud800\udc00 \x00 \u202e",
    "key: value",
    "Authorization: Bearer env:NAME_OF_IT", "https://medium.com/@ada/a:b@c",
]  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_what_is_found(text: str) -> None:
    assert redact(text) == CASES[text]
    assert redact(CASES[text]) == CASES[text]
    assert secret_in(text)


@pytest.mark.parametrize("text", SAME)
def test_what_is_not(text: str) -> None:
    assert redact(text) is text
    assert not secret_in(text)


def test_in_every_escaped_form(odd: None) -> None:
    value = os.environ["ODD_PASSPHRASE"]
    forms = [value, json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value),
             quote(value, errors="surrogatepass", safe="")]  # fmt: skip
    for form in forms:
        assert "env:ODD_PASSPHRASE" in redact(form), form
        assert redact(form).strip("\"'") == "env:ODD_PASSPHRASE"
    assert json.loads(redact(json.dumps({"a": value}))) == {"a": "env:ODD_PASSPHRASE"}


def test_plain_data_keeps_its_shape() -> None:
    clean = {"a": ["x", 1, None, {"b": (1.5, True)}]}
    assert redact(clean) is clean
    kept = ["other"]
    found = redact(
        {"a": [KEY, 1], "b": kept, KEY: (KEY, "x"), "X-Api-Key": "not-a-long-one", "api_key": Secret("env:A")}
    )
    assert found == {
        "a": ["env:OPENCLAW_NB_TEST_KEY", 1], "b": ["other"],
        "env:OPENCLAW_NB_TEST_KEY": ("env:OPENCLAW_NB_TEST_KEY", "x"), "X-Api-Key": "***", "api_key": "env:A",
    }  # fmt: skip
    assert found["b"] is kept


def test_hostile_containers() -> None:
    loop: list[Any] = [KEY]
    loop.append(loop)
    assert redact(loop)[0] == "env:OPENCLAW_NB_TEST_KEY"
    deep: Any = KEY
    for _ in range(5_000):
        deep = [deep]
    assert redact(deep) is deep  # the store refuses it


def test_a_variable_set_later_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redact("new-value-1") == "new-value-1"
    for number, reference in enumerate(["env:NEW_SECRET", "env:NEW_SECRET"]):
        monkeypatch.setenv("NEW_SECRET", f"new-value-{number}")
        assert redact(f"new-value-{number}") == reference
    monkeypatch.delenv("NEW_SECRET")
    assert redact("new-value-1") == "new-value-1"


@pytest.mark.parametrize(
    "name", ["A_KEY", "APIKEY", "token", "GH_TOKENS", "S_SECRET", "PASSWD", "C_CREDENTIALS", "KEY_2"]
)
def test_names_of_secrets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "eight888")
    assert redact("x eight888") == f"x env:{name}"
    monkeypatch.setenv(name, "seven77")
    assert redact("x seven77") == "x seven77"


@pytest.mark.parametrize("name", ["PATH_2", "TOKENIZERS_PARALLELISM", "KEYBOARD", "SSH_AUTH_SOCK"])
def test_other_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "eight888")
    assert redact("x eight888") == "x eight888"


def test_references_are_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "env:OPENCLAW_NB_TEST_KEY")
    monkeypatch.setenv("YOUR_TOKEN", "OPENCLAW_NB_TEST_KEY")
    assert redact(f"{KEY} OPENCLAW_NB_TEST_KEY") == "env:OPENCLAW_NB_TEST_KEY OPENCLAW_NB_TEST_KEY"


def test_what_was_revealed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_revealed", {})
    monkeypatch.setenv("OPENCLAW_NB_TEST_DSN", "server=x;pw=hidden")
    assert redact("server=x;pw=hidden") == "server=x;pw=hidden"
    Secret("env:OPENCLAW_NB_TEST_DSN").reveal()
    assert redact("(server=x;pw=hidden)") == "(env:OPENCLAW_NB_TEST_DSN)"


def test_in_bytes() -> None:
    for codec in ("utf-8", "utf-16-le", "utf-32-le", "utf-32-be"):
        assert secret_in(b"\0\1" + KEY.encode(codec) + b"\0") == "env:OPENCLAW_NB_TEST_KEY"
    assert not secret_in(b"\0" * 1000)


PIECES = st.lists(
    st.sampled_from(
        [KEY, KEY[:9], LONG, "pa55word-of-db", "https://u:passw0rd-123@h ", "Authorization: Bearer 0123456789abcdef ",
         " ", "\n", "word ", "é", "Cookie: s=0123456789abcdef\n", "x-api-key='0123456789abcdef' ",
         '"authorization" : "']
    ),
    max_size=8,
)  # fmt: skip
TOLD = [KEY, LONG[:30], LONG[-30:], "pa55word-of-db", "passw0rd-123", "0123456789abcdef"]


@given(PIECES, st.lists(st.floats(0, 1), max_size=5))
def test_a_text_kept_in_parts_has_no_secret_that_the_whole_has_not(pieces: list[str], cuts: list[float]) -> None:
    text = "".join(pieces)
    whole, parts, start = redact(text), [], 0
    for cut in sorted(cuts):
        seen = text[start : int(cut * len(text))]
        end = settled(seen)
        parts.append(redact(seen[:end]))
        start += end
    parts.append(redact(text[start:]))
    for told in TOLD:
        assert told in whole or not any(told in part for part in parts)
        assert told in whole or told not in "".join(parts)


def test_parts_go_on() -> None:
    assert settled("a word that is whole ") == 21
    assert settled("a word that is wh") == 15
    assert settled("日本語の文章には空白がない") == 13
    assert settled("x" * 20_000) > 10_000
    assert settled(f"日本{KEY[:5]}") == 2
    assert settled("so Authorization: Bearer ") == 3
    assert settled(f"a\n{LONG[:60]}") == 2


HOSTILE = [
    "a", "://", "://a:", "authorization", "authorization: ", "bearer ", "cookie: a=", "x-", "-", "basic a", "cookie ",
    "cookie:     ", "api_key = ", "api_key='", KEY[:-1], "://a:b/", "\\", "access-token" + " " * 50, "é@",
    "authorization:\t\\\"",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_linear_time(piece: str) -> None:
    def cost(characters: int) -> float:
        text = piece * (characters // len(piece))
        begun = time.process_time()
        redact(text), settled(text), secret_in(text)
        return time.process_time() - begun

    small = min(cost(20_000) for _ in range(3))
    assert cost(320_000) < 16 * max(small, 0.001) * 6  # quadratic would be 256 times
