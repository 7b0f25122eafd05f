"""AgentURI: addresses that are taken, and hostile ones that are refused in one sentence without their secrets."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.uri import parse_uri

from openclaw_nb.config import LONGEST, AgentURI, known_token
from openclaw_nb.config.uri import CLUSTER_NAME, check_host, check_redis, check_url
from openclaw_nb.errors import ConfigError


@pytest.mark.parametrize("text", ["agent://local", "agent://local/"])
def test_the_gateway_in_this_kernel(text: str) -> None:
    assert AgentURI.parse(text) == AgentURI(text, None)
    assert AgentURI.parse(text).is_local


@pytest.mark.parametrize(
    "text",
    [
        "ws://127.0.0.1:8080", "ws://localhost:1", "ws://[::1]:8080", "ws://127.0.0.1:8080/path", "wss://example.org",
        "wss://example.org:444/gateway", "ws://127.8.9.1", "WS://LOCALHOST:1", "wss://10.0.0.1",
        "wss://[2001:db8::1]:1",
        "wss://xn--mnchen-3ya.example/", "wss://1password.example", "wss://a_b.example.",
    ],
)  # fmt: skip
def test_gateways(text: str) -> None:
    assert AgentURI.parse(text).url == text
    assert not AgentURI.parse(text).is_local


@pytest.mark.parametrize("name", ["production", "production/cluster-a", "Eu_1/a/b/c", "locale", "x" * 63])
def test_clusters_by_name(name: str) -> None:
    address = AgentURI.parse(f"agent://{name}/")
    assert address == AgentURI(f"agent://{name}", None, name)
    assert not address.is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::", "localhost", "gateway-1.example.org", "a_b"])
def test_hosts_that_something_listens_at(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("host", ["12:30", "127.1", "0x7f.1", "2130706433", "a..b", "[::1]", "localhost:1", "ⓛ"])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(ConfigError):
        check_host(host)


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "rediss://redis.example.org", "redis://[::1]:1/15", "redis://r/"]
)
def test_addresses_of_redis(url: str) -> None:
    assert check_redis(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@127.0.0.1", "redis://user:s3cret@r/0", "redis://r?password=s3cret", "redis://r/0?s3cret",
        "redis://169.254.169.254", "redis://2852039166/0", "redis://r/x", "http://r", "unix:///run/redis.sock",
        "redis://", "redis://r:s3cret", "redis://r/１",
    ],
)  # fmt: skip
def test_what_is_no_address_of_redis(url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_redis(url)
    assert "s3cret" not in str(refusal.value)
    assert "wss" not in str(refusal.value)


@pytest.mark.parametrize("text", ["agent://local", "agent://production", "http://a", "ws://10.0.0.1"])
def test_an_endpoint_is_one_gateway(text: str) -> None:
    with pytest.raises(ConfigError):
        check_url(text)
    assert check_url("ws://127.0.0.1:1") == "ws://127.0.0.1:1"


@pytest.mark.parametrize(
    ("meant", "url", "cluster", "told"),
    [
        ("", "wss://a", "", True),
        ("", "wss://a", "production/a", True),
        ("wss://a/x", "wss://A", "", True),
        ("wss://a", "wss://b", "", False),
        ("agent://production/a", "wss://a", "production/a", True),
        ("agent://production/a", "wss://a", "", False),
        ("agent://production/a", "wss://a", "production/b", False),
        ("agent://local", "wss://a", "", True),
        ("agent://", "wss://a", "", False),
    ],
)
def test_whose_token_the_environment_has(
    meant: str, url: str, cluster: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", meant)
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "t0ken")
    assert known_token(url, cluster) == ("t0ken" if told else None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no address"),
        ("local", "no address"),
        ("http://127.0.0.1", "no address"),
        ("file:///etc/passwd", "no address"),
        ("wss://", "no address"),
        ("ws://", "no address"),
        ("ws:/\\127.0.0.1", "no address"),
        ("javascript:alert(1)", "no address"),
        ("agent://local:80", "names no cluster"),
        ("agent://local/../etc", "names no cluster"),
        ("agent://169.254.169.254/latest", "names no cluster"),
        ("agent://metadata.google.internal", "names no cluster"),
        ("agent://", "names no cluster"),
        ("agent://a/b/c/d/e", "names no cluster"),
        ("agent://local/x", "names no cluster"),
        ("agent://a//b", "names no cluster"),
        ("ws://10.0.0.1/", "would send the token in clear; use wss://10.0.0.1"),
        ("ws://127.evil.com", "in clear"),
        ("ws://127.0.0.1.evil.com", "in clear"),
        ("ws://localhost.evil.com", "in clear"),
        ("ws://localhost.", "in clear"),
        ("ws://evil.com#127.0.0.1", "fragment"),
        ("ws://127.0.0.1:1?token=s3cret", "pass the token apart"),
        ("ws://127.0.0.1:1#s3cret", "pass the token apart"),
        ("wss://user:s3cret@example.org", "pass the token apart"),
        ("wss://s3cret@example.org", "pass the token apart"),
        ("wss://:s3cret@example.org:99999", "pass the token apart"),
        ("ws://127.0.0.1\\@evil.com", "pass the token apart"),
        ("wss://[::1", "cannot be read"),
        ("wss://[::1].evil.com", "cannot be read"),
        ("wss://evil.com[::1]", "cannot be read"),
        ("wss://[::1%25lo]", "cannot be read"),
        ("wss://example.org:x", "cannot be read"),
        ("wss://example.org:0", "cannot be read"),
        ("wss://example.org:65536", "cannot be read"),
        ("wss://user:s3cret @example.org", "control characters"),
        ("wss://example.org\n", "control characters"),
        ("wss://ex\0ample.org?token=s3cret", "control characters"),
        ("wss://example.org/\ud800", "control characters"),
        ("\u202ewss://example.org", "control characters"),
        ("wss://münchen.example", "is no name: .* xn--"),
        ("wss://a..b", "is no name"),
        ("wss://" + "a" * 64, "is no name"),
        ("wss://127.0.0.1%2eevil.com", "is no name"),
        ("wss://evil.com;token", "is no name"),
        ("wss://\u212aube.example", "is no name"),
        ("wss://" + "a" * LONGEST, "at most 2,048 characters, and this one 2,054"),
        ("agent://" + "[" * 100_000, "at most 2,048 characters"),
        ("agent://" + "[" * 1_000, "cannot be read"),
        ("agent://" + "/" * 1_000, "no cluster"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        AgentURI.parse(text)
    assert "s3cret" not in str(refusal.value)
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "host",
    ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "127.0.0.1.", "1.2.3.4.5", "0xa9fea9fe", "[127.0.0.1]",
     "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[:::]", "evil.com.1"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_number_is_written_in_one_way(scheme: str, host: str) -> None:
    with pytest.raises(ConfigError, match=r"unusual spelling of a number|cannot be read"):
        AgentURI.parse(f"{scheme}://{host}:443/")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_no_gateway_is_where_clouds_keep_their_secrets(scheme: str, host: str) -> None:
    with pytest.raises(ConfigError, match="no address of one machine's own"):
        AgentURI.parse(f"{scheme}://{host}/")


@pytest.mark.parametrize(
    "text",
    [
        "wss://user:s3cret@example.org", "wss://user:s3cret/s3cret@example.org", "wss://user:s3cret?s3cret@example.org",
        "wss://user:s3cret#s3cret@example.org", "wss://example.org?a=b@c&token=s3cret", "user:s3cret@example.org",
        "s3cret@example.org//x", "wss:user:s3cret@example.org", "wss:\\\\user:s3cret@example.org", "wss://user:s3cret",
        "wss://user:s3cret%40example.org", "wss://user:s3cret＠example.org", "wss://s3cret﹫example.org",
        "wss://example.org？token=s3cret", "wss://example.org％3Ftoken=s3cret", "wss://example.org％40s3cret",
        "agent://s3cret@local", "agent://local/?s3cret", "agent://user:s3cret", "javascript:fetch('//s3cret@evil')",
        "ws://evil.com/＃s3cret", "wss://[::1]:s3cret", "wss://[s3cret@::1", "wss://user:pass/s3cret",
        "wss://example.org;token=s3cret",
    ],
)  # fmt: skip
def test_a_secret_in_the_wrong_place_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        AgentURI.parse(text)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("address", [None, b"agent://local", 18_789, Path("agent://local")])
def test_what_is_no_text_is_no_address(address: Any) -> None:
    with pytest.raises(ConfigError, match=r"^an address is text \(str\), such as agent://local, not "):
        AgentURI.parse(address)


_PIECES = st.sampled_from(
    ["ws", "wss", "agent", "://", "//", "/", ":", "@", "[", "]", "\\", "?", "#", ".", "%", "localhost",
     "127.0.0.1", "::1", "::ffff:127.0.0.1", "0x7f", "2130706433", "evil.com", "local", "80", "\t", " ", "\ud800",
     "０", "。", "＠", "ſ"]
)  # fmt: skip


@given(st.lists(_PIECES | st.characters(codec=None, exclude_categories=()), max_size=9).map("".join))
@example("ws://localhost:80/")
def test_what_is_taken_is_dialled_where_it_says(text: str) -> None:
    """Whatever the text: refused, or what the client's library dials is the host that was checked."""
    try:
        address = AgentURI.parse(text)
    except ConfigError:
        return
    if (url := address.url) is None:
        assert re.fullmatch(f"agent://(?:local|{CLUSTER_NAME})", address.text.rstrip("/"), re.ASCII)
        return
    dialled = parse_uri(url)
    assert dialled.user_info is None
    assert dialled.host.lower() in text.lower()
    if not dialled.secure:
        assert dialled.host == "localhost" or ip_address(dialled.host).is_loopback
