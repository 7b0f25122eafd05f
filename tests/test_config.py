"""AgentURI: addresses that are taken, and hostile ones that are refused in one sentence without their secrets."""

from __future__ import annotations

import pytest

from openclaw_nb.config import AgentURI
from openclaw_nb.errors import ConfigError


@pytest.mark.parametrize("text", ["agent://local", "agent://local/"])
def test_the_gateway_in_this_kernel(text: str) -> None:
    assert AgentURI.parse(text) == AgentURI(text, None)


@pytest.mark.parametrize(
    "text",
    [
        "ws://127.0.0.1:8080", "ws://localhost:1", "ws://[::1]:8080", "ws://127.0.0.1:8080/path", "wss://example.org",
        "wss://example.org:444/gateway", "ws://127.8.9.1",
    ],
)  # fmt: skip
def test_gateways(text: str) -> None:
    assert AgentURI.parse(text).url == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no address"),
        ("local", "no address"),
        ("http://127.0.0.1", "no address"),
        ("file:///etc/passwd", "no address"),
        ("wss://", "no address"),
        ("ws://", "no address"),
        ("javascript:alert(1)", "no address"),
        ("agent://production", "no cluster is configured"),
        ("agent://local:80", "no cluster is configured"),
        ("agent://local/../etc", "no cluster is configured"),
        ("agent://169.254.169.254/latest", "no cluster is configured"),
        ("ws://169.254.169.254/", "would send the token in clear; use wss://169.254.169.254"),
        ("ws://127.evil.com", "in clear"),
        ("ws://127.0.0.1.evil.com", "in clear"),
        ("ws://localhost.evil.com", "in clear"),
        ("ws://0.0.0.0:1", "in clear"),
        ("ws://0x7f.1", "in clear"),
        ("ws://2130706433", "in clear"),
        ("ws://127.0.0.1%2eevil.com", "in clear"),
        ("ws://evil.com#127.0.0.1", "fragment"),
        ("ws://127.0.0.1:1?token=s3cret", "pass the token apart"),
        ("ws://127.0.0.1:1#s3cret", "pass the token apart"),
        ("wss://user:s3cret@example.org", "pass the token apart"),
        ("wss://s3cret@example.org", "pass the token apart"),
        ("ws://127.0.0.1\\@evil.com", "pass the token apart"),
        ("wss://:s3cret@example.org:99999", "cannot be read"),
        ("wss://[::1", "cannot be read"),
        ("wss://example.org:x", "cannot be read"),
        ("wss://user:s3cret @example.org", "control characters"),
        ("wss://example.org\n", "control characters"),
        ("wss://ex\0ample.org?token=s3cret", "control characters"),
        ("wss://example.org/\ud800", "control characters"),
        ("\u202ewss://example.org", "control characters"),
        ("ws://" + "a" * 100_000, "in clear"),
        ("agent://" + "[" * 100_000, "cannot be read"),
        ("agent://" + "/" * 100_000, "no cluster"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        AgentURI.parse(text)
    assert "s3cret" not in str(refusal.value)
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isprintable()
