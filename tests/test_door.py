"""Door: the token, the guesses from every spelling of an address, and headers only a browser sends."""

from __future__ import annotations

import pytest

from openclaw_nb.door import ADDRESSES, GUESSES, LOCK, Door, is_loopback


def test_a_token_is_made_and_not_shown() -> None:
    one, other = Door(None, "127.0.0.1"), Door(None, "127.0.0.1")
    assert len(one.token) >= 43
    assert one.token != other.token
    assert one.token not in repr(one)


@pytest.mark.parametrize("given", [None, "", "s", "secret ", "Secret", "secre", "secrett", "\ud800", "sécret", "\0"])
def test_only_the_token_is_the_token(given: str | None) -> None:
    door = Door("secret", "127.0.0.1")
    assert not door.admits(given, "127.0.0.1", 0.0)
    assert door.admits("secret", "127.0.0.1", 0.0)


def test_no_token_admits_nobody() -> None:
    door = Door("", "127.0.0.1")
    assert not door.admits("", "127.0.0.1", 0.0)
    assert not door.admits(None, "127.0.0.1", 0.0)


LOOPBACK = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9", "::1%lo", "0:0:0:0:0:0:0:1"]


def test_guesses_are_counted_over_all_spellings_of_loopback() -> None:
    door = Door("secret", "127.0.0.1")
    for i in range(1_000):
        assert not door.admits(f"guess {i}", LOOPBACK[i % len(LOOPBACK)], i * 0.001)
    for address in LOOPBACK:
        assert not door.admits("secret", address, 1.0), "locked, whoever knows it"
    assert door.admits("secret", "10.0.0.1", 1.0), "others are not"
    assert door.admits("secret", "127.0.0.1", LOCK + 1.0)


def test_who_is_locked_out_does_not_stay_so_by_trying() -> None:
    door = Door("secret", "127.0.0.1")
    for _ in range(GUESSES):
        door.admits("guess", "::1", 0.0)
    for now in range(1, int(LOCK)):
        assert not door.admits("guess", "::1", float(now))
    assert door.admits("secret", "::1", LOCK + 0.1)


def test_the_right_token_is_no_guess() -> None:
    door = Door("secret", "127.0.0.1")
    assert all(door.admits("secret", "127.0.0.1", 0.0) for _ in range(100))
    for _ in range(GUESSES - 1):
        door.admits("guess", "127.0.0.1", 0.0)
    assert door.admits("secret", "127.0.0.1", 0.0)


def test_addresses_are_not_remembered_for_ever() -> None:
    door = Door("secret", "127.0.0.1")
    for i in range(3 * ADDRESSES):
        door.admits("guess", f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 0.0)
        door.admits("guess", f"name{i}", 0.0)
    assert len(door._guesses) <= ADDRESSES


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost:8080"),
        ("127.0.0.1", "LocalHost:8080"),
        ("127.0.0.1", "[::1]:8080"),
        ("localhost", "127.0.0.1:8080"),
        ("127.0.0.5", "127.0.0.5:8080"),
        ("::1", "[::1]:8080"),
        ("::1", "[::1]"),
        ("gateway.example.org", "gateway.example.org:443"),
    ],
)
def test_hosts_that_are_this_gateway(host: str, name: str) -> None:
    assert Door("t", host).refuses(None, name) is None


@pytest.mark.parametrize(
    "name",
    [
        None, "", ":8080", "evil.com", "evil.com:8080", "127.0.0.1.evil.com", "localhost.evil.com:80", "127.0.0.1:80:8",
        "[::1].evil.com", "[::1", "::1", "0.0.0.0", "127.0.0.1@evil.com", "127.0.0.1:x", "127.0.0.1:80\n",
        "evil.com:127.0.0.1", "127.0.0.2:80",
    ],
)  # fmt: skip
def test_hosts_that_are_not(name: str | None) -> None:
    assert Door("t", "127.0.0.1").refuses(None, name) == "the Host header names another server"


@pytest.mark.parametrize(
    "origin", ["null", "", "file://", "http://localhost:8888", "http://127.0.0.1:1", "https://evil"]
)
def test_no_page_comes_in(origin: str) -> None:
    assert Door("t", "127.0.0.1").refuses(origin, "127.0.0.1:1") == "pages of a browser are not served here"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.255.254", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "127.evil.com", "127.0.0.1.evil.com", "localhost.", "127.1", "2130706433", "10.0.0.1", "1"],
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
