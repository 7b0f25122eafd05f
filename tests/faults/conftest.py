"""What goes on beside the tests of faults: a minute of reading too slowly takes a minute."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

SECONDS = 60


@pytest.fixture(scope="session", autouse=True)
def slow_reader(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str] | None]:
    """The process of `slow_reader`, begun before the first test where one of them asks for it."""
    if not any(item.name == "test_a_reader_ten_times_too_slow" for item in request.session.items):
        yield None
        return
    command = [sys.executable, "-m", "tests.faults.slow_reader", str(SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()
