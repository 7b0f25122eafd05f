"""One of ten instances killed every 5 s under load, runs shared through Redis: what is lost, and how long all takes.

Behind haproxy; a run streams for a tenth of a second, so most kills cut some. A killed instance comes back.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

from .fleet import SECONDS, fleet
from .loads import connected, ended, keep, start

__all__ = ["kills", "main"]

INSTANCES = 10
CONNECTIONS = 200
RATE = 200
EVERY = 5.0
"""Seconds between two kills."""

AWAY = 1.0
"""Seconds after which a killed instance is started again."""

BOUNDS = {"reconnect P50": 50.0, "request P99": 500.0}
"""Milliseconds."""


def kills(seconds: float, *, rate: float = RATE, every: float = EVERY) -> dict[str, Any]:
    """What a load measured while instances were killed, one after another."""
    with fleet("shared", INSTANCES) as servers:
        time.sleep(1.0)  # until they know of each other
        load = start(servers.ports, CONNECTIONS, rate, seconds, tokens=10, pause=10)
        connected(load)
        began, killed = time.monotonic(), 0
        for instance in itertools.islice(itertools.cycle(servers.instances), int(seconds / every) - 1):
            killed += 1
            time.sleep(max(0.0, began + killed * every - time.monotonic()))
            instance.kill()
            time.sleep(AWAY)
            instance.start()
            instance.started()
        return ended(load) | {"killed": killed}


def main() -> None:
    print(f"\none of {INSTANCES} instances killed every {EVERY:g} s for {SECONDS:g} s, behind haproxy, with Redis:")
    print(f"{CONNECTIONS} connections, {RATE} requests/s, of which each streams for 0.1 s")
    measured = kills(SECONDS)
    back, whole, after = measured["back_ms"], measured["whole_ms"], measured["after_cut_ms"]
    wrong = {kind: count for kind, count in measured["errors"].items() if count}
    print(f"{measured['killed']} kills cut {measured['cuts']} connections; {measured['resumed']} runs were resumed,")
    print(f"{measured['asked_again']} requests asked again. Of {measured['sent']} requests {measured['answered']} were")
    print(f"answered once and whole ({measured['availability']:.4%}); wrong: {wrong or 'nothing'}, {measured['codes']}")
    for name, ms in (("reconnect", back), ("cut -> next text", after), ("request", whole)):
        print(f"{name:18} P50 {ms['p50']:7.1f}  P99 {ms['p99']:7.1f}  max {ms['max']:7.1f} ms")
    found = {"reconnect P50": back["p50"], "request P99": whole["p99"]}
    kept = all(found[name] < bound for name, bound in BOUNDS.items()) and measured["availability"] >= 0.9999
    print(f"bounds: {BOUNDS} ms, 99.99 % answered, nothing lost or twice: {'kept' if kept and not wrong else 'MISSED'}")
    keep("kills", measured)
