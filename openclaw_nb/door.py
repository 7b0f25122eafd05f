"""Door, who may come in: the token, the guesses, and the headers a browser cannot help sending.

Pure: time and addresses are passed in. Browsers may open WebSockets to loopback from any page, so a request with
an Origin is refused before the upgrade, and so is one whose Host is not this gateway (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections import deque

__all__ = ["Door", "is_loopback"]

GUESSES = 10
"""Wrong tokens an address may try within LOCK seconds, loopback included (OpenClaw exempted it: GHSA-5847)."""

LOCK = 60.0
"""Seconds for which an address is refused after its last guess."""

ADDRESSES = 1024
"""Addresses remembered at most; the oldest is forgotten first."""

_PORT = re.compile(r":[0-9]*\Z")


class Door:
    """Checks connections of one gateway that is reached at ``host``."""

    def __init__(self, token: str | None, host: str) -> None:
        self.token = secrets.token_urlsafe(32) if token is None else token
        self._names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
        self._guesses: dict[str, deque[float]] = {}

    def __repr__(self) -> str:
        return "<Door token=***>"

    def refuses(self, origin: str | None, host: str | None) -> str | None:
        """Why this upgrade request is refused, or None."""
        if origin is not None:
            return "pages of a browser are not served here"
        if _PORT.sub("", host or "").lower() not in self._names:
            return "the Host header names another server"
        return None

    def admits(self, token: str | None, address: str, now: float) -> bool:
        """Whether ``token`` is right and ``address`` has not guessed too often; ``now`` in monotonic seconds."""
        guesses = self._recent(_canonical(address), now)
        right = hmac.compare_digest((token or "").encode(errors="surrogatepass"), self.token.encode())
        if len(guesses) >= GUESSES:
            return False
        if not right:
            guesses.append(now)
        return right and bool(token)

    def _recent(self, address: str, now: float) -> deque[float]:
        guesses = self._guesses.setdefault(address, deque())
        while guesses and now - guesses[0] > LOCK:
            guesses.popleft()
        if len(self._guesses) > ADDRESSES:
            del self._guesses[next(iter(self._guesses))]
        return guesses


def _canonical(address: str) -> str:
    """One spelling for an address: an IPv4 one mapped into IPv6 is the same, and all of loopback is one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return "loopback" if ip.is_loopback else str(ip)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine. ``127.evil.com`` is not."""
    if host in ("localhost", "[::1]"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
