"""The real things that ours is held against, each started once: a model, and a gateway of each version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from tests.conformance import install
from tests.conformance.gateways import RealGateway, side_by_side
from tests.conformance.model import ModelProcess

MEMORY = 3 * 2**30
"""Bytes that both gateways and a program of theirs need."""


def not_run(why: str) -> NoReturn:
    """Without the real thing there is nothing to compare with, which CI has to do without never."""
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def installed() -> None:
    """The real OpenClaw is here, and there is room to run it."""
    if install.missing():
        not_run("the real OpenClaw is not here; make test-openclaw installs it where there is a network")
    if psutil.virtual_memory().available < MEMORY:
        not_run(f"two real gateways need {MEMORY / 2**30:.0f} GB of memory, and there is less")


@pytest.fixture(scope="session")
def model(installed: None) -> Iterator[ModelProcess]:
    with ModelProcess() as running:
        yield running


@pytest.fixture(scope="session")
def gateways(model: ModelProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RealGateway]]:
    """One of each version, by its version."""
    with side_by_side(Path(tmp_path_factory.mktemp("openclaw")), model.url) as running:
        yield running


@pytest.fixture(scope="session", params=install.GATEWAYS)
def real(request: pytest.FixtureRequest, gateways: dict[str, RealGateway]) -> RealGateway:
    """Each of them in turn."""
    return gateways[request.param]
