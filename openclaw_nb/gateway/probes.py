"""Probes, what a gateway answers over plain HTTP to a balancer: whether it lives, and whether it takes new work.

The names and first words are those of a real OpenClaw gateway. The answer comes from the loop that does the work, so
one that does not turn any more does not answer either. Nobody needs a token, and no answer holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

__all__ = ["PROBES", "REASONS", "Standing", "answer", "asked", "refusal"]

PROBES = {b"/health": "live", b"/healthz": "live", b"/ready": "ready", b"/readyz": "ready"}
"""What is asked for at each path."""

REASONS = {
    "starting": "this gateway is starting",
    "draining": "this gateway is about to restart and takes no new work",
    "closing": "this gateway is closing",
}
"""Why no new work is taken, by status."""

_HEADERS = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gateway stands: ``status`` is "ready", or a word of REASONS.

    ``shared`` says whether other instances find its runs; None where it is not meant to share them.
    """

    status: str
    runs: int
    connections: int
    instance: str
    shared: bool | None = None


def asked(request: WSUpgradeRequest) -> str | None:
    """Which probe a request is; None for one that is none, as it wants to be a WebSocket or another path."""
    if "Upgrade" in request.headers:
        return None
    return PROBES.get(request.path.partition(b"?")[0])


def answer(probe: str, standing: Standing, *, whole: bool) -> WSUpgradeResponseWithListener:
    """The answer to a probe: 200, or 503 with the reason where no new work is taken; figures in a ``whole`` one only.

    Who asks for another host may be a page that rebinds a name (reliability.md 30), or a balancer that was told a name
    of its own: both learn whether this gateway serves, and nothing of what it does.
    """
    if probe == "live":
        return _told(HTTPStatus.OK, {"ok": True, "status": "live"})
    ready = standing.status == "ready"
    facts: dict[str, object] = {"ok": ready, "status": standing.status}
    if not ready:
        facts["reason"] = REASONS[standing.status]
    if whole:
        facts |= {"runs": standing.runs, "connections": standing.connections, "instance": standing.instance}
        facts["shared"] = standing.shared
    return _told(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, facts)


def refusal(status: HTTPStatus, why: str) -> WSUpgradeResponseWithListener:
    """The answer to a request that is not taken, with the reason as text."""
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, why.encode()), None)


def _told(status: HTTPStatus, facts: dict[str, object]) -> WSUpgradeResponseWithListener:
    body = msgspec.json.encode(facts)
    if status is HTTPStatus.OK:
        response = WSUpgradeResponse.create_ok_response(body, _HEADERS)
    else:
        response = WSUpgradeResponse.create_error_response(status, body, _HEADERS)
    return WSUpgradeResponseWithListener(response, None)
