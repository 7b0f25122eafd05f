"""completion: what a real kernel offers where a line of `%openclaw` or `%%openclaw` ends."""

from __future__ import annotations

import pytest

from .conftest import INSTALLED, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]


def complete(kernel: Kernel, code: str) -> list[str]:
    kernel.client.complete(code, len(code))
    while True:
        message = kernel.client.get_shell_msg(timeout=300)  # at first much is read
        if message["msg_type"] == "complete_reply":
            return list(message["content"]["matches"])


def test_nothing_is_started_to_complete_a_word(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb")
    assert complete(kernel, "%openclaw restore ") == ["--session", "--vars"]
    kernel.run("from openclaw_nb.runtime import Runtime")
    assert kernel.run("print(Runtime.running())").text == "None\n"


def test_sessions_snapshots_and_variables(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb\nimport os\nrate, grid, _private = 7, [1], 2\ndef work(): pass")
    kernel.run("%%openclaw --session own\nwhat is 6*7?")
    kernel.run("%openclaw snapshot mark --session own")
    kernel.run("%openclaw snapshot 'in words' --session own")
    restorable = complete(kernel, "%openclaw restore ")
    assert restorable[0] == "mark"
    assert [len(word) for word in restorable[1:4]] == [8, 8, 8]
    assert restorable[4:] == ["--session", "--vars"]
    assert complete(kernel, "%openclaw restore mar") == ["mark"]
    assert complete(kernel, "%openclaw restore mark --session ") == ["own"]
    assert complete(kernel, "%%openclaw --session o") == ["own"]
    assert complete(kernel, "%%openclaw --from ")[:2] == ["own", "mark"]
    assert complete(kernel, "%openclaw compare own m") == ["mark"]
    assert not {"own", "mark"} & set(complete(kernel, "%openclaw branch "))
    assert "own" in complete(kernel, "%openclaw branch new ")
    for line in ("%%openclaw --vars ", "%openclaw snapshot a --vars "):
        assert complete(kernel, line) == ["grid", "rate"]
    assert complete(kernel, "%openclaw restore a --vars rate,") == ["rate,grid"]
    assert complete(kernel, "%openclaw restore a --vars a") == ["all"]
    assert complete(kernel, "%%openclaw --busy ") == ["wait", "branch"]
    assert complete(kernel, "%openclaw keep ") == ["data", "beside", "memory", "--mb", "--days", "--every"]
    assert complete(kernel, "%openclaw keep data --") == ["--mb", "--days", "--every"]


def test_agents_side_by_side(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb\nfrom openclaw_nb import OpenClawAgent, role\nchief = OpenClawAgent('boss')")
    assert complete(kernel, "%%openclaw --agents ") == ["boss", "chief", "coder", "reviewer", "tester"]
    assert complete(kernel, "%%openclaw --agents=coder,re") == ["coder,reviewer"]
    assert complete(kernel, "%%openclaw --bg --agents coder,boss,c") == ["coder,boss,chief"]
    kernel.run("role('critic', 'You nag.')")
    assert complete(kernel, "%%openclaw --agents c") == ["chief", "coder", "critic"]
    assert complete(kernel, "%%openclaw --mode ") == ["parallel", "pipeline"]
    assert complete(kernel, "%%openclaw --po") == ["--pool"]
    assert complete(kernel, "%openclaw po") == ["pool"]
    assert complete(kernel, "%openclaw pool ") == ["--per-task", "--timeout", "--executor"]
    assert complete(kernel, "%openclaw role ") == ["coder", "tester", "reviewer", "critic"]
    assert complete(kernel, "%openclaw role cr") == ["critic"]
