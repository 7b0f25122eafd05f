"""Reasons, what the end of a connection to a gateway means, or of a try to reach one."""

from __future__ import annotations

import os
from errno import ECONNREFUSED
from ssl import SSLCertVerificationError, SSLError

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from ..errors import ConnectionLost, OpenClawError, ProtocolError, one_line

__all__ = ["explain", "is_refused", "says_goodbye"]

TOO_BIG = 1009
"""The one close code that coming back cannot help: the same message would be as big again."""

TRY_AGAIN_LATER = 1013
"""The close code of a gateway that is starting (2026.9.6)."""

GOODBYES = frozenset({1001, 1012})
"""Close codes of a gateway that goes away, or begins anew (RFC 6455, and the registry of IANA)."""

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""What versions of OpenSSL call an answer that is no TLS."""

_STRANGE_PROXY = b"proxy_attribution_required"
_NAME_PROXY = "its owner has to name that in gateway.trustedProxies"


def explain(error: Exception, uri: str, seconds: float) -> OpenClawError:
    """What it means that a connection ended so, or was not there in ``seconds``: ConnectionLost where coming back can
    help."""
    match error:
        case ConnectionClosed() if TOO_BIG in _codes(error):
            return ProtocolError(f"a message on the link to {uri} was too big")
        case ConnectionClosed() if TRY_AGAIN_LATER in _codes(error):
            starting = ConnectionLost(f"the gateway at {uri} is starting")
            starting.is_starting, starting.retry_after = True, 1.0
            return starting
        case ConnectionClosed():
            return ConnectionLost(f"the link to {uri} was cut")
        case TimeoutError():
            return ConnectionLost(f"no answer from {uri} within {seconds:g} s")
        case SSLCertVerificationError(verify_message=why):
            return ProtocolError(f"the certificate of {uri} is not trusted: {why}; SSL_CERT_FILE names whom to trust")
        case SSLError(reason=reason) if reason in _NO_TLS:
            return ProtocolError(f"{uri} does not speak TLS; the address of a gateway without it begins with ws://")
        case OSError():
            return ConnectionLost(f"no gateway at {uri}: {_reason(error)}")
        case InvalidMessage(__cause__=EOFError() | OSError()):
            return ConnectionLost(f"no gateway at {uri}: it hung up")
        case InvalidStatus(response=response) if response.status_code >= 500:
            return ConnectionLost(f"no gateway at {uri}: HTTP {response.status_code}")
        case InvalidStatus(response=response) if _STRANGE_PROXY in (response.body or b""):
            return ProtocolError(f"the gateway at {uri} does not know the proxy before it; {_NAME_PROXY}")
        case InvalidStatus(response=response):
            return ProtocolError(f"{uri} is no gateway: it answers with HTTP {response.status_code}")
        case _:
            return ProtocolError(f"{uri} is no gateway: {one_line(error)}")


def says_goodbye(error: Exception) -> bool:
    """Whether a gateway closed it because it goes away."""
    return isinstance(error, ConnectionClosed) and bool(GOODBYES & _codes(error))


def is_refused(error: Exception) -> bool:
    """Whether nobody listens there; of a name with several addresses asyncio tells it in words only."""
    if not isinstance(error, OSError):
        return False
    return isinstance(error, ConnectionRefusedError) or f"[Errno {ECONNREFUSED}] Connect call failed" in str(error)


def _codes(error: ConnectionClosed) -> set[int]:
    """By which each side closed it."""
    return {end.code for end in (error.rcvd, error.sent) if end}


def _reason(error: OSError) -> str:
    if is_refused(error):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "it hung up"
    if error.errno is not None and "Connect call failed" in str(error):  # which asyncio says of every reason
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error) or type(error).__name__).lower()
