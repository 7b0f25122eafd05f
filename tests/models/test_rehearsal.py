"""First use: the loop goes on while a library is imported, and when the first answer comes all is built."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw_nb.models.rehearsal import _read
from tests.asking import KEY, VENDORS
from tests.mock_server import Mock

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of one that thinks by a budget
]

SCRIPT = Path(__file__).with_name("first_use.py")
IN_GOOD_TIME = 600.0


@pytest.mark.parametrize("name", VENDORS)
def test_it_is_read_to_its_end(name: str) -> None:
    asyncio.run(_read(VENDORS[name].model))


def test_the_loop_goes_on_while_a_client_is_loaded(
    answering: Callable[..., Mock], figure: Callable[[str, str], None]
) -> None:
    """In a fresh process each: what is to be loaded is known before, and the cell is never frozen."""
    names = ("responses", "anthropic")
    fresh = {}
    for name in names:
        mock = answering(VENDORS[name], tokens=3)
        fresh[name] = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), VENDORS[name].model],
            stdout=subprocess.PIPE, text=True, env={**os.environ, VENDORS[name].key: KEY, mock.variable: mock.url},
        )  # fmt: skip
    for name in names:
        out, _ = fresh[name].communicate(timeout=IN_GOOD_TIME)
        kind = VENDORS[name].model.partition(":")[0]
        seen = json.loads(out)
        loading, first = seen["loading"], seen["first"]
        assert seen["waits"] == [f"the client of {kind}", ""]
        assert loading["turns"] > 20
        assert loading["longest"] < max(0.5, loading["seconds"] / 3)
        assert first["longest"] < 0.7, "nothing is left to be built on the loop"
        figure(
            "issue 5 first use",
            f"{kind}: {loading['seconds']:.1f} s to load beside {loading['turns']} turns of the loop, the longest "
            f"{loading['longest'] * 1000:.0f} ms; {first['longest'] * 1000:.0f} ms in the first answer",
        )
