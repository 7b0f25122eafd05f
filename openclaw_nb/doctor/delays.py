"""Delays: what the time to the first token is made of, and that to each update of a view, and what is largest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import aclosing
from dataclasses import dataclass
from statistics import median

from ..client import OpenClawClient
from ..errors import OpenClawError
from ..events import Status
from ..models.base import Model, ModelRequest
from ..reasoning.costs import is_free
from ..run import Run
from ..spending import Spending
from .finding import Finding, State, seconds
from .link import Trip
from .patient import Patient

__all__ = ["Part", "delays", "first_token", "is_probed_freely", "updates"]

TARGET = 0.5
"""Seconds to the first token that are too many; the document's limit, where the configuration names no other."""

VISIBLE = 0.2
"""Seconds from a token's being there to its being seen that are too many: slower than reading."""

NEWEST = 20
"""Runs whose first token is looked at."""

PROBE = "What is 6*7? Answer with the number alone."

PROBED = 20.0
"""Seconds that a probe may take."""


@dataclass(frozen=True)
class Part:
    """A part of a delay: what it is called, its seconds, and what would make it smaller."""

    name: str
    seconds: float
    remedy: str = ""


def delays(patient: Patient, trip: Trip) -> Iterator[Finding]:
    """What it takes until text is seen."""
    yield _first_token(patient, trip)
    yield _updates(patient, trip)


def first_token(taken: float, source: str, parts: Sequence[Part], target: float = TARGET) -> Finding:
    """What the time to the first token is made of; ``source`` says by what it is known."""
    worst = max(parts, key=lambda part: part.seconds)
    measured = f"{seconds(taken)}, of which {worst.name} {seconds(worst.seconds)} ({source})"
    figures = {"seconds": taken, **{part.name: part.seconds for part in parts}}
    if taken <= target:
        return Finding("first token", State.OK, "it comes soon", measured, figures=figures)
    words = f"it comes late, because of {worst.name}"
    return Finding("first token", State.LOOK, words, measured, worst.remedy, figures)


def updates(parts: Sequence[Part]) -> Finding:
    """What stands between a token's being there and its being seen."""
    total = sum(part.seconds for part in parts)
    worst = max(parts, key=lambda part: part.seconds)
    measured = f"{seconds(total)} at most, of which {worst.name} {seconds(worst.seconds)} is the largest part"
    figures = {"seconds": total, **{part.name: part.seconds for part in parts}}
    if total <= VISIBLE:
        return Finding("text", State.OK, "it is seen soon after it was made", measured, figures=figures)
    return Finding("text", State.LOOK, f"it is seen late, because of {worst.name}", measured, worst.remedy, figures)


def is_probed_freely(patient: Patient) -> bool:
    """Whether a question costs nothing: the model is one that this process has, and nobody is asked."""
    return patient.client.is_local and is_free(_name(patient)) and _name(patient).startswith("offline")


def _name(patient: Patient) -> str:
    return patient.model or patient.runtime.model or "offline"


def _first_token(patient: Patient, trip: Trip) -> Finding:
    runs = patient.runs
    seen = [run for run in runs if run.first_token is not None and run.status is Status.DONE][-NEWEST:]
    quick = [run for run in seen if (run.level or 1) <= 2] or seen
    level = max((run.level or 1 for run in quick), default=1)
    line = median(_waited(run, runs) for run in quick) if quick else 0.0
    try:
        if patient.probe and not is_probed_freely(patient):
            taken, source, line = patient.ask(_probed(patient), PROBED), "a question was sent", 0.0
        elif quick:
            taken, source = median(run.first_token or 0.0 for run in quick), "the newest runs of this notebook"
        elif (middle := patient.runtime.metrics.window().latency(0.5)) is not None:
            taken, source = middle, "the middle one of the last five minutes"
        elif is_probed_freely(patient):
            taken = patient.ask(_first_of(patient.runtime.resolve(_name(patient)))) + trip.usual
            source = "the offline model was asked"
        else:
            ask = "run a cell first, or %openclaw doctor --probe (openclaw-nb doctor --probe), which asks the model"
            return Finding("first token", State.OK, "not known yet, as nothing was asked", remedy=ask)
    except (OpenClawError, FutureTimeout) as error:
        why = str(error) or f"no token came within {PROBED:g} s"
        return Finding("first token", State.LOOK, f"there was none: {why}", remedy="%openclaw model NAME takes another")
    slower = "%openclaw level 2 begins to answer sooner; " if level > 2 else ""
    parts = (
        Part(
            "the model", max(taken - trip.usual - line, 0.0),
            f"{slower}choose a nearer or a local model (%openclaw model ollama:NAME); tokenInterval is not the cause",
        ),
        Part("the link", trip.usual, "see what is said of the link"),
        Part("runs before it in its session", line, "%%openclaw --busy branch, or --session S, does not wait for them"),
    )  # fmt: skip
    return first_token(taken, source, parts, _target(patient))


def _waited(run: Run, runs: Sequence[Run]) -> float:
    """Seconds that a run was in line behind others of its session, before anybody could answer it."""
    place = run.agent, run.session
    ends = [one.sent + one.seconds for one in runs if (one.agent, one.session) == place and one.sent < run.sent]
    return min(max(max(ends, default=0.0) - run.sent, 0.0), run.first_token or 0.0)


def _target(patient: Patient) -> float:
    limit = patient.config.monitoring.alert_thresholds.latency_p99
    return TARGET if limit is None else limit


async def _first_of(model: Model) -> float:
    """Seconds until a model says anything."""
    start = time.perf_counter()
    request = ModelRequest(({"role": "user", "content": PROBE},), level=1, max_tokens=8)
    async with asyncio.timeout(PROBED), aclosing(model.stream(request)) as events:  # type: ignore[type-var]
        async for _ in events:
            break
    return time.perf_counter() - start


async def _probed(patient: Patient) -> float:
    """Seconds until the first token of a real run; of a client of its own, as it says nothing of those of the user."""
    client = OpenClawClient(auto_reconnect=False, max_restore_attempts=0)
    client.spending = Spending()
    one = patient.client
    client.open(one.uri, *one.dialled)
    try:
        run = client.send(PROBE, session="doctor", level=1, model=patient.model, timeout=PROBED)
        return await _first_token_of(run)
    finally:
        await client.close()


async def _first_token_of(run: Run) -> float:
    async for _ in run:
        run.cancel("the doctor has heard enough")
        break
    return run.first_token or run.seconds


def _updates(patient: Patient, trip: Trip) -> Finding:
    client = patient.client
    if not client.streaming:
        remedy = "`streaming: true` of the configuration, or OpenClawClient(streaming=True), sends it as it is made"
        return Finding("text", State.LOOK, "it comes in one piece at its end, as streaming is off", remedy=remedy)
    interval = client.token_interval
    lower = f"{min(interval * 0.6, 0.05):.2g}"
    return updates((
        Part(
            "tokenInterval", interval,
            f"tokenInterval: {float(lower) * 1000:g} of the configuration (%openclaw config FILE), or "
            f"OpenClawClient(token_interval={lower})",
        ),
        Part("the delay of batches", client.token_batch_delay, "OpenClawClient(token_batch_delay=0.02)"),
        Part("the link", trip.usual / 2, "see what is said of the link"),
        Part("the page, which is behind", patient.behind, "close outputs that stream, or write %%openclaw --plain"),
    ))  # fmt: skip
