"""Door, who may come in: the tokens, the guesses, and the headers a browser cannot help sending.

Pure: time and addresses are passed in. Browsers may open WebSockets to any address from any page, so a request with
an Origin is refused before the upgrade, and so is one whose Host is not this gateway (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections import deque
from collections.abc import Sequence

from .errors import AuthError, ConfigError

__all__ = ["Door", "Locked", "check_network", "is_loopback"]

GUESSES = 10
"""Wrong tokens an address may try within LOCK seconds, loopback included (OpenClaw exempted it: GHSA-5847)."""

LOCK = 60.0
"""Seconds for which an address is refused after its last guess."""

ADDRESSES = 1024
"""Addresses whose guesses are counted one by one; all others share one count, so that no number of them resets it."""

NETWORK = 64
"""Bits of an IPv6 address that are counted as one: a host has all addresses of such a network (RFC 4291, 2.5.1)."""

_LOOPBACK, _OTHERS = "loopback", "others"
_PORT = re.compile(r":[0-9]*\Z")
_HOP = re.compile(r"\[([^\]]*)\](?::[0-9]*)?|([0-9.]+):[0-9]*|(.*)")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)


class Locked(AuthError):
    """No token is looked at now, not even the right one; ``retry_after`` in seconds."""

    code = "AUTH_RATE_LIMITED"

    def __init__(self, retry_after: float) -> None:
        super().__init__("unauthorized: too many wrong tokens came from this address, try again later")
        self.retry_after = retry_after


class Door:
    """Checks connections of one gateway that is reached at ``host`` and, beyond loopback, by ``names``.

    ``trusted_proxies`` are the balancers, as addresses or networks, that are believed where a client comes from.
    """

    def __init__(
        self, tokens: Sequence[str], host: str, names: Sequence[str] = (), trusted_proxies: Sequence[str] = ()
    ) -> None:
        self._names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host.lower()}
        self._names.update(_read_name(name) for name in names)
        self._any_address = not is_loopback(host)
        self._trusted = tuple(_read_network(one) for one in trusted_proxies)
        self._guesses: dict[str, deque[float]] = {}
        self._secret = secrets.token_bytes(32)
        self._keys: frozenset[bytes] = frozenset()
        self._revoked: frozenset[bytes] = frozenset()
        self.accept(tokens)

    def __repr__(self) -> str:
        return f"<Door {len(self._keys)} tokens>"

    def accept(self, tokens: Sequence[str]) -> bool:
        """From now on it opens for these tokens and no other, for an empty one never; whether that is news."""
        keys = frozenset(self._key(token) for token in tokens if token)
        if keys == self._keys:
            return False
        self._revoked = (self._revoked | self._keys) - keys
        self._keys = keys
        return True

    def opens_for(self, key: bytes) -> bool:
        """Whether the token that `admits` gave this key for is still valid."""
        return key in self._keys

    def refuses(self, origins: Sequence[str], hosts: Sequence[str], target: bytes = b"/") -> str | None:
        """Why an upgrade request with these headers is refused, or None."""
        if origins:
            return "pages of a browser are not served here"
        if len(hosts) != 1 or not self._is_here(_PORT.sub("", hosts[0]).lower()):
            return "the Host header names another server"
        if not target.startswith(b"/") or target.startswith(b"//"):  # it would count more than Host (RFC 9112, 3.2.2)
            return "the request's target is no path"
        return None

    def came_from(self, peer: str, forwarded: Sequence[str]) -> str:
        """The address of who connected: ``peer``, unless that is trusted, which says it in X-Forwarded-For.

        ``forwarded`` are these headers. Each hop adds an address at the end, and anybody may write what is before it.
        """
        address = peer
        for hop in reversed(",".join(forwarded).split(",")):
            known, said = _read_address(address), _read_hop(hop)
            if said is None or known is None or not any(known in network for network in self._trusted):
                break
            address = str(said)
        return address

    def admits(self, token: str | None, address: str, now: float) -> bytes | None:
        """The key of ``token`` if it is valid, or None; ``now`` in monotonic seconds.

        Locked where ``address`` has guessed too often, right or wrong. No token is no guess, nor is one that was
        revoked: who has not heard of it yet must not lock out everybody at the same address.
        """
        given = self._key(token or "")
        # Every key is compared in full, so that the time tells neither which one matched nor how much of it.
        matches = [key for key in self._keys if hmac.compare_digest(key, given)]
        bucket = self._bucket(_canonical(address), now)
        guesses = _recent(self._guesses.get(bucket, deque()), now)
        if len(guesses) >= GUESSES:
            raise Locked(guesses[0] + LOCK - now)
        if not matches and token and given not in self._revoked:
            self._guesses.setdefault(bucket, guesses).append(now)
        return matches[0] if matches else None

    def _key(self, token: str) -> bytes:
        return hmac.digest(self._secret, token.encode(errors="surrogatepass"), "sha256")

    def _is_here(self, name: str) -> bool:
        # A page that rebinds needs a name of its own: an address in the Host header is where it really is.
        return name in self._names or (self._any_address and _is_address(name))

    def _bucket(self, address: str, now: float) -> str:
        """Where the guesses of an address are counted."""
        if address in self._guesses or address == _LOOPBACK:
            return address
        if len(self._guesses) >= ADDRESSES:
            self._guesses = {key: known for key, known in self._guesses.items() if _recent(known, now)}
        return address if len(self._guesses) < ADDRESSES else _OTHERS


def _recent(guesses: deque[float], now: float) -> deque[float]:
    while guesses and now - guesses[0] >= LOCK:
        guesses.popleft()
    return guesses


def _read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address in its one spelling, IPv4 mapped into IPv6 as IPv4; None for what is none."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def _read_hop(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as X-Forwarded-For has it, where some balancers add the port."""
    found = _HOP.fullmatch(text.strip())
    return _read_address(found[1] or found[2] or found[3] or "") if found else None


def _read_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A network in its one spelling, as `_read_address` has addresses; ConfigError as for `check_network`."""
    try:
        network = ipaddress.ip_network(text)
        if isinstance(network, ipaddress.IPv6Network) and (mapped := network.network_address.ipv4_mapped):
            network = ipaddress.ip_network((mapped, network.prefixlen - 96))
    except ValueError:
        raise ConfigError(f"{text!r} is no address of a balancer, nor a network such as 10.0.0.0/24") from None
    if not network.prefixlen:
        raise ConfigError(f"{text} is everybody; name the balancers, which alone are believed where a client is")
    return network


def _canonical(address: str) -> str:
    """One spelling for who is counted as one: IPv4 mapped into IPv6, all of loopback, a network of IPv6."""
    if (ip := _read_address(address)) is None:
        return address
    if ip.is_loopback:
        return _LOOPBACK
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, NETWORK), strict=False))


def _is_address(host: str) -> bool:
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return (ipaddress.ip_address(inside).version == 6) == (inside != host)
    except ValueError:
        return False


def _read_name(name: str) -> str:
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise ConfigError(f"{name!r} is no name of a host; write it as gateway.example.org, without scheme and port")
    return lower


def check_network(text: str) -> str:
    """The address of a balancer, or the network it is in; ConfigError for what is neither, and for everybody."""
    _read_network(text)
    return text


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine. ``127.evil.com`` is not."""
    if host in ("localhost", "[::1]"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
