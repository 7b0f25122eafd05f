"""What the tests of the doctor get: a runtime of their own, a calm machine, and the findings of one check by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from openclaw_nb import Runtime
from openclaw_nb.doctor import Finding, Patient, delays, examination, kernel, link, monitored, patient


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.shared()
    yield runtime
    runtime.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that the machine lets wait for seconds is not given up."""
    monkeypatch.setattr(link, "PATIENCE", 60.0)
    monkeypatch.setattr(Patient.ask, "__defaults__", (60.0,))


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that does nothing else: no wait is so long that it is worth a look, or given up."""
    for module, names in (
        (kernel, ("LATE", "STUCK", "SLOW", "LOADED")), (link, ("SLOW", "LONGEST")), (delays, ("TARGET",)),
        (examination, ("PATIENCE",)), (monitored, ("READ",)),
    ):  # fmt: skip
        for name in names:
            monkeypatch.setattr(module, name, 60.0)
    monkeypatch.setattr(patient.beside, "__defaults__", (60.0,))


Named = Callable[[Iterable[Finding], str], Finding]


@pytest.fixture
def named() -> Named:
    """The last finding of a name."""

    def find(findings: Iterable[Finding], name: str) -> Finding:
        found = {finding.name: finding for finding in findings}
        assert name in found, sorted(found)
        return found[name]

    return find
