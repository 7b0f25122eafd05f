"""The examination: all checks in their order, each with its own limit, those that time things before the others."""

from __future__ import annotations

from collections.abc import Iterator

from ..config import AgentURI
from ..errors import ConfigError, OpenClawError
from .configured import configuration, extras, tokens
from .deadlocks import deadlocks
from .delays import delays
from .endpoints import endpoints, redis
from .finding import Finding, State
from .kernel import kernel
from .levels import levels
from .link import gateway, link, measure
from .machine import descriptors, disk, recovery, store, way
from .monitored import exporter, requests
from .patient import PATIENCE, Patient, beside, within

__all__ = ["examine"]

PROBED = 25.0
"""Seconds that the check of delays may take, which may ask a model."""


def examine(patient: Patient) -> list[Finding]:
    """What was found, the questions of the document first; at most some fifteen seconds, whatever is broken.

    Nothing is changed, and no model that costs anything is asked, unless the patient is to be probed.
    """
    found = within(2 * PATIENCE, ("gateway", gateway), patient)
    answers = found[0].state is State.OK
    found += within(PATIENCE, ("kernel", kernel), patient)
    found += within(PATIENCE, ("model", _model), patient)
    if answers:
        found += within(PROBED if patient.probe else 2 * PATIENCE, ("latency", _latency), patient)
    found += beside(
        [
            ("recovery", recovery), ("requests", requests), ("levels", levels), ("pool", deadlocks),
            ("configuration", configuration),
            ("endpoints", endpoints), ("redis", redis), ("tokens", tokens), ("extras", extras), ("metrics", exporter),
            ("snapshots", store), ("disk", disk), ("descriptors", descriptors), ("way", way),
        ],
        patient,
    )  # fmt: skip
    return found


def _latency(patient: Patient) -> Iterator[Finding]:
    trip = measure(patient, patient.ask(patient.client.hello()))
    yield from link(patient, trip)
    yield from delays(patient, trip)


def _model(patient: Patient) -> Iterator[Finding]:
    name = patient.model or patient.runtime.model
    try:
        if not AgentURI.parse(patient.uri or patient.runtime.uri).is_local:
            words = "chosen by the gateway" if name is None else f"{name}, if the gateway has it"
            yield Finding("model", State.OK, words)
            return
        chosen = patient.runtime.resolve(name or "offline")
    except (ConfigError, OpenClawError) as error:
        yield Finding("model", State.BROKEN, str(error), remedy="%openclaw model NAME takes another")
        return
    if name is None:
        words = "offline, which is no language model; %openclaw model PROVIDER:NAME takes a real one"
        yield Finding("model", State.OK, words)
        return
    yield Finding("model", State.OK, chosen.name)
