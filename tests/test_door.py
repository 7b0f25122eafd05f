"""Door: the token, the guesses from every spelling of an address, and headers only a browser sends."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest

from openclaw_nb import door as module
from openclaw_nb.door import GUESSES, LOCK, Door, Locked, is_loopback
from openclaw_nb.errors import ConfigError

NOT_HERE = "the Host header names another server"


def locked(door: Door, address: str, now: float, token: str = "secret") -> float:
    """For how long the door is locked to an address; 0 if it is not."""
    try:
        door.admits(token, address, now)
    except Locked as lock:
        return lock.retry_after
    return 0.0


def guess(door: Door, address: str, now: float, times: int = 1) -> int:
    """Wrong tokens; how many of them were looked at."""
    looked = 0
    for i in range(times):
        try:
            assert door.admits(f"guess {i}", address, now) is None
            looked += 1
        except Locked:
            pass
    return looked


# -- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, "", "s", "secret ", "Secret", "secre", "secrett", "\ud800", "sécret", "\0"])
def test_only_the_token_is_the_token(given: str | None) -> None:
    door = Door(["secret"], "127.0.0.1")
    assert door.admits(given, "127.0.0.1", 0.0) is None
    assert door.admits("secret", "127.0.0.1", 0.0)


def test_no_token_admits_nobody() -> None:
    for door in (Door([""], "127.0.0.1"), Door([], "127.0.0.1")):
        assert door.admits("", "127.0.0.1", 0.0) is None
        assert door.admits(None, "127.0.0.1", 0.0) is None


def test_it_opens_for_every_token_until_that_is_revoked() -> None:
    door = Door(["new", "old"], "127.0.0.1")
    new, old = door.admits("new", "::1", 0.0), door.admits("old", "::1", 0.0)
    assert new
    assert old
    assert new != old
    assert not door.accept(["old", "new"]), "no news"
    assert door.accept(["new"])
    assert door.opens_for(new)
    assert not door.opens_for(old)
    assert door.admits("old", "::1", 0.0) is None
    assert door.accept(["old"])
    assert door.admits("old", "::1", 0.0) == old
    assert door.admits("new", "::1", 0.0) is None


def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever matches, and if none does: the same comparisons, of digests of one length."""
    compared: list[tuple[int, int]] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def compare(known: bytes, given: bytes) -> bool:
        compared.append((len(known), len(given)))
        return real(known, given)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    door = Door(["first", "second", "third"], "127.0.0.1")
    for given in ("first", "second", "third", "other", "", None, "x" * 10_000):
        compared.clear()
        door.admits(given, "127.0.0.1", 0.0)
        assert compared == [(32, 32)] * 3


def test_no_token_is_shown() -> None:
    door = Door(["secret", "another"], "127.0.0.1")
    guess(door, "::1", 0.0, GUESSES)
    with pytest.raises(Locked) as lock:
        door.admits("a wrong guess", "::1", 0.0)
    assert lock.value.code == "AUTH_RATE_LIMITED"
    shown = f"{door!r} {vars(door)!r} {lock.value!r}"
    assert not [word for word in ("secret", "another", "wrong guess") if word in shown.replace("_secret", "")]


# -- guesses ---------------------------------------------------------------------------------------

LOOPBACK = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9", "::1%lo", "0:0:0:0:0:0:0:1", "::ffff:7f00:1"]


def test_guesses_are_counted_over_all_spellings_of_loopback(figure: Callable[[str, str], None]) -> None:
    door = Door(["secret"], "127.0.0.1")
    looked = sum(guess(door, LOOPBACK[i % len(LOOPBACK)], i * 0.001) for i in range(1_000))
    assert looked == GUESSES == 10
    for address in LOOPBACK:
        assert 58.0 < locked(door, address, 1.0) <= LOCK, "locked, whoever knows it"
    assert not locked(door, "10.0.0.1", 1.0), "others are not"
    assert not locked(door, "127.0.0.1", LOCK + 1.0)
    figure(
        "reliability 28", f"1,000 guesses in a second from {len(LOOPBACK)} spellings of loopback: {looked} looked at"
    )


@pytest.mark.parametrize(
    ("addresses", "together"),
    [
        (["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"], True),
        (["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::", "2001:db8::1%eth0"], True),
        (["2001:db8::1", "2001:db8:0:1::1"], False),
        (["10.1.2.3", "10.1.2.4"], False),
        (["127.0.0.1", "10.0.0.1"], False),
        (["a socket's name", "another"], False),
    ],
)
def test_who_is_counted_as_one(addresses: list[str], together: bool) -> None:
    door = Door(["secret"], "127.0.0.1")
    guess(door, addresses[0], 0.0, GUESSES)
    assert all(bool(locked(door, address, 0.0)) is together for address in addresses[1:])


def test_who_is_locked_out_does_not_stay_so_by_trying() -> None:
    door = Door(["secret"], "127.0.0.1")
    guess(door, "::1", 0.0, GUESSES)
    waits = [locked(door, "::1", float(now), "guess") for now in range(1, int(LOCK))]
    assert waits == [LOCK - now for now in range(1, int(LOCK))]
    assert not locked(door, "::1", LOCK)


def test_ten_guesses_a_minute_and_no_more() -> None:
    door = Door(["secret"], "127.0.0.1")
    looked = [second for second in range(600) if guess(door, "10.0.0.1", float(second))]
    assert len(looked) == 10 * GUESSES
    assert all(len([x for x in looked if now <= x < now + LOCK]) <= GUESSES for now in looked)


def test_the_right_token_is_no_guess_nor_is_none_nor_a_revoked_one() -> None:
    door = Door(["secret", "old"], "127.0.0.1")
    door.accept(["secret"])
    for token in ("secret", "", None, "old") * 50:
        door.admits(token, "127.0.0.1", 0.0)
    assert not door._guesses
    assert guess(door, "127.0.0.1", 0.0, 50) == GUESSES


def test_many_addresses_reset_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd that would push each other out of a bounded table shares one count, so the rate stays bounded."""
    monkeypatch.setattr(module, "ADDRESSES", 64)
    door = Door(["secret"], "0.0.0.0")
    crowd = [f"10.{i >> 8}.{i & 255}.1" for i in range(200)]
    looked = sum(guess(door, address, 0.0, GUESSES + 1) for _ in range(2) for address in crowd)
    assert looked == (64 + 1) * GUESSES
    assert len(door._guesses) <= 64 + 2
    assert locked(door, crowd[0], 1.0)
    assert locked(door, "192.0.2.1", 1.0), "of whom nothing is known, as anybody could be the crowd's next"
    assert not locked(door, "127.0.0.1", 1.0), "this machine is never of the crowd"
    assert guess(door, "::1", 1.0, 50) == GUESSES
    assert not locked(door, "192.0.2.1", LOCK + 2.0)
    assert guess(door, "192.0.2.1", LOCK + 2.0, 50) == GUESSES
    assert len(door._guesses) < 5


# -- headers ---------------------------------------------------------------------------------------


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
        ("127.0.0.1", "GW.example.org:443"),
        ("Gateway.example.org", "gateway.example.org:443"),
        ("0.0.0.0", "192.0.2.7:18789"),
        ("0.0.0.0", "[2001:db8::7]:18789"),
        ("::", "192.0.2.7"),
        ("10.0.0.1", "localhost"),
        ("10.0.0.1", "gw.example.org"),
    ],
)
def test_hosts_that_are_this_gateway(host: str, name: str) -> None:
    assert Door(["t"], host, ["gw.Example.org"]).refuses([], [name]) is None


@pytest.mark.parametrize(
    "name",
    [
        "", ":8080", "evil.com", "evil.com:8080", "127.0.0.1.evil.com", "localhost.evil.com:80", "127.0.0.1:80:8",
        "[::1].evil.com", "[::1", "::1", "127.0.0.1@evil.com", "127.0.0.1:x", "127.0.0.1:80\n", "evil.com:127.0.0.1",
        "2130706433", "127.1", "0x7f000001", "gw.example.org.evil.com", "xgw.example.org", "192.0.2.7.", "[192.0.2.7]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "10.0.0.1"])
def test_hosts_that_are_not(host: str, name: str) -> None:
    assert Door(["t"], host, ["gw.example.org"]).refuses([], [name]) == NOT_HERE


@pytest.mark.parametrize("name", ["0.0.0.0", "127.0.0.2:80", "192.0.2.7", "[2001:db8::7]"])
def test_on_loopback_no_other_address_is_this_gateway(name: str) -> None:
    assert Door(["t"], "127.0.0.1").refuses([], [name]) == NOT_HERE


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "evil.com"]])
def test_there_is_one_host(hosts: list[str]) -> None:
    assert Door(["t"], "127.0.0.1").refuses([], hosts) == NOT_HERE


@pytest.mark.parametrize("target", [b"", b"*", b"//evil.com/", b"http://evil.com/", b"ws://127.0.0.1/", b"evil.com:80"])
def test_the_target_names_no_server(target: bytes) -> None:
    assert Door(["t"], "127.0.0.1").refuses([], ["127.0.0.1"], target) == "the request's target is no path"
    assert Door(["t"], "127.0.0.1").refuses([], ["127.0.0.1"], b"/any/path?query") is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.5", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", ["1.2.3.4, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", ["1.2.3.4", "203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.5", ["203.0.113.7, 10.0.0.6"], "203.0.113.7"),
        ("10.0.0.5", ["10.0.0.7,10.0.0.6"], "10.0.0.7"),
        ("::ffff:10.0.0.5", ["[2001:db8::1]:80"], "2001:db8::1"),
        ("2001:db8:1::2", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.5", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", [""], "10.0.0.5"),
        ("10.0.0.5", ["203.0.113.7, unknown"], "10.0.0.5"),
        ("10.0.0.5", ["203.0.113.7,"], "10.0.0.5"),
        ("10.1.0.5", ["203.0.113.7"], "10.1.0.5"),
        ("203.0.113.9", ["10.0.0.5"], "203.0.113.9"),
        ("", ["203.0.113.7"], ""),
        ("192.0.2.9", ["203.0.113.7"], "203.0.113.7"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: list[str], address: str) -> None:
    door = Door(["t"], "10.0.0.1", trusted_proxies=["10.0.0.0/24", "2001:db8:1::2", "::ffff:192.0.2.8/125"])
    assert door.came_from(peer, forwarded) == address
    assert Door(["t"], "10.0.0.1").came_from(peer, forwarded) == peer


@pytest.mark.parametrize(
    "proxy", ["", "10.0.0", "10.0.0.1/24", "haproxy", "10.0.0.0/33", "0.0.0.0/0", "::/0", "::ffff:0:0/96", "*"]
)
def test_proxies_that_are_none(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"no address of a balancer|is everybody"):
        Door(["t"], "127.0.0.1", trusted_proxies=[proxy])


@pytest.mark.parametrize("name", ["", "gw:80", "https://gw", "gw/", "*.example.org", "[::1]", "a..b", "gw\n", "ſ.org"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a host"):
        Door(["t"], "127.0.0.1", [name])


@pytest.mark.parametrize(
    "origin", ["null", "", "file://", "http://localhost:8888", "http://127.0.0.1:1", "https://evil"]
)
def test_no_page_comes_in(origin: str) -> None:
    assert Door(["t"], "127.0.0.1").refuses([origin], ["127.0.0.1:1"]) == "pages of a browser are not served here"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.255.254", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "127.evil.com", "127.0.0.1.evil.com", "localhost.", "127.1", "2130706433", "10.0.0.1", "1"],
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
