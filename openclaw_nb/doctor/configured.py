"""What is configured: the file in effect, the secrets that it refers to, and the extras that it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.util import find_spec

from ..config import ClusterConfig
from ..errors import ConfigError
from ..render import counted
from .finding import Finding, State
from .patient import Patient

__all__ = ["configuration", "extras", "tokens"]


def configuration(patient: Patient) -> Iterator[Finding]:
    """The file that is in effect, and what is wrong with one that is not."""
    runtime, config = patient.runtime, patient.config
    file = runtime.configured.file
    remedy = f"openclaw-nb config check {file} shows all that is wrong; then %openclaw config {file}"
    if runtime.configured.trouble:
        yield Finding("configuration", State.BROKEN, runtime.configured.trouble, remedy=remedy)
        return
    if not file:
        yield Finding("configuration", State.OK, "no file is in effect, so all is at its default")
        return
    measured = f"{counted(len(config.clusters), 'cluster')}, {counted(_settings(config.given), 'setting')}"
    try:
        now = ClusterConfig.load(file)
    except ConfigError as error:
        words = f"what is in effect cannot be read any more, so the next kernel goes without: {error}"
        yield Finding("configuration", State.LOOK, words, measured, remedy)
        return
    if now != config:
        words = f"{file} was changed since it was read"
        yield Finding("configuration", State.LOOK, words, measured, f"%openclaw config {file} takes it")
    else:
        yield Finding("configuration", State.OK, f"{file} is in effect", measured)


def tokens(patient: Patient) -> Iterator[Finding]:
    """Whether the secrets that the configuration refers to are where it says."""
    config, used = patient.config, patient.cluster
    references = {f"agent://{name}": cluster.token for name, cluster in config.clusters.items()}
    references |= {"the gateway": config.gateway.token, "Redis": config.gateway.redis_password}
    found = 0
    for whose, reference in references.items():
        if reference is None:
            continue
        try:
            reference.read()
            found += 1
        except ConfigError as error:
            needed = used is not None and whose == f"agent://{used.name}"
            state = State.BROKEN if needed else State.LOOK
            yield Finding("tokens", state, f"that of {whose} is not there: {error}", remedy=f"see {reference}")
    if found:
        yield Finding("tokens", State.OK, "those that are referred to are there", counted(found, "secret"))


def extras(patient: Patient) -> Iterator[Finding]:
    """Packages that the configuration needs and a plain installation has not."""
    if patient.config.gateway.redis is not None and find_spec("redis") is None:
        words = "the configuration has `gateway: redis:`, and what it takes is not installed"
        yield Finding("extras", State.LOOK, words, remedy="pip install 'openclaw_nb[redis]'")


def _settings(given: Collection[str]) -> int:
    """How many are given, without the sections that they stand in."""
    return sum(not any(other.startswith(f"{one}.") for other in given) for one in given)
