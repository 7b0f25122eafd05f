"""The first delta of an answer, through our gateway and through theirs, from one model in one run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

import pytest

from tests.conformance.first_delta import INTERVALS, ours, seconds_to_first_delta
from tests.conformance.gateways import RealGateway
from tests.conformance.model import ModelProcess
from tests.conformance.users import Figure

SENDS = 6
LEAST = 3
"""Times that ours is faster at least, each at its best: what else is at work here slows down both, and not evenly."""


@pytest.mark.parametrize("interval", INTERVALS)
def test_first_delta(
    interval: int, gateways: dict[str, RealGateway], model: ModelProcess, tmp_path: Path, figure: Figure
) -> None:
    with ours(tmp_path, model.url) as served:
        token = served.token_file.read_text(encoding="utf-8").split()[-1]
        own = asyncio.run(seconds_to_first_delta(served.url, token, interval, SENDS))
        told = {}
        for version, real in gateways.items():  # ours before and behind each, as other work comes and goes
            told[version] = asyncio.run(seconds_to_first_delta(real.url, real.token, interval, SENDS))
            own += asyncio.run(seconds_to_first_delta(served.url, token, interval, SENDS))
    for version, theirs in told.items():
        assert min(theirs) > LEAST * min(own)
        times = f"P50 {median(theirs) * 1000:.0f} ms and {median(own) * 1000:.1f} ms"
        words = f"{median(theirs) / median(own):.0f} times as long as through ours ({times})"
        figure(f"first delta through {version}, a token every {interval} ms", words)
