"""`%openclaw config` in a real kernel: a file that is wrong at its start, one that is right, and the cluster in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served

from .conftest import INSTALLED, Kernel, environment
from .test_commands_completion import complete

pytestmark = pytest.mark.kernel

FILE = """
cluster: {{maxThreads: 4, timeout: 60, adaptiveReasoning: false, streaming: false, snapshotInterval: 2000}}
monitoring: {{alertThresholds: {{latencyP99: 10s, errorRate: null}}}}
clusters:
  production/cluster-a:
    endpoints: [{url}]
    token: {{file: {token}}}
    limits: {{maxLevel: 2}}
gateway: {{workers: 2}}
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Path]]:
    """A kernel of its own, whose environment names a file that is wrong."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "cluster.yaml").write_text("cluster:\n  maxThread: 4\n", encoding="utf-8")
    kernel = Kernel(INSTALLED, environment(folder) | {"OPENCLAW_NB_CONFIG": "cluster.yaml"}, folder)
    kernel.run("%load_ext openclaw_nb")
    yield kernel, folder
    kernel.close()


def refusal(kernel: Kernel, code: str) -> str:
    """What a cell fails with."""
    return str(kernel.run(code).content["evalue"])


def test_a_file_that_is_wrong_breaks_nothing(started: tuple[Kernel, Path]) -> None:
    kernel, _ = started
    wrong = "cluster.yaml, line 2, column 3: cluster has no setting 'maxThread'; did you mean maxThreads?"
    assert f"configuration  {wrong}; until it is right nothing of it applies\n" in kernel.run("%openclaw").text
    assert "42" in kernel.run("%%openclaw\nwhat is 6*7?").text
    assert refusal(kernel, "%openclaw config cluster.yaml") == wrong
    for line in ("%openclaw connect agent://production/cluster-a", "%%openclaw --to agent://production/cluster-a\nx"):
        assert refusal(kernel, line) == wrong
    assert refusal(kernel, "%openclaw config a b").startswith("write %openclaw config FILE")
    assert refusal(kernel, "%openclaw config none.yaml") == "none.yaml cannot be read: No such file or directory"


def test_the_notebook_takes_a_file_and_changes_one_address(started: tuple[Kernel, Path]) -> None:
    kernel, folder = started
    with Served(folder, "offline:0") as served:
        text = FILE.format(url=served.url, token=served.token_file)
        (folder / "cluster.yaml").write_text(text, encoding="utf-8")
        assert complete(kernel, "%openclaw config ") == ["cluster.yaml"]
        rows = kernel.run("%openclaw config cluster.yaml").text.splitlines()
        there = f"1 endpoint, least-busy · token in file:{served.token_file} · at most: level 2"
        assert {" ".join(row.split()) for row in rows} == {
            "configuration cluster.yaml; %openclaw config shows what it says",
            "pool 4 threads, 3 per task, 60 s for each agent · from the file",
            "level auto is level 2, whatever the task · from the file",
            "text comes in one piece · from the file",
            "snapshots every 2 s of a run that goes on · from the file",
            "told where a first token takes above 10000 ms; above 90 % of the pool is at work",
            f"agent://production/cluster-a {there}",
            "to use one %openclaw connect agent://NAME, or --to agent://NAME in a cell",
            "gateway these settings are for openclaw-nb serve --config FILE",
        }
        assert kernel.run("%openclaw config").text.splitlines() == rows
        kernel.run("%openclaw pool 5 --timeout 30")
        changed = " ".join(kernel.run("%openclaw config").text.split())
        assert "pool 5 threads, 3 per task, 30 s for each agent level" in changed
        assert "agent://production/cluster-a" in complete(kernel, "%%openclaw --to ")
        assert complete(kernel, "%openclaw connect agent://p") == ["agent://production/cluster-a"]
        asked = "%%openclaw --to agent://production/cluster-a --level 4 --plain --into said\nwhat is 6*7?"
        assert "42" in kernel.run(asked).text
        assert kernel.run("print(said.level, said.level_reason)").text == "2 limited to 2\n"
        connected = kernel.run("%openclaw connect agent://production/cluster-a").text
        assert "agent://production/cluster-a, protocol 4" in connected
        assert f"the token in file:{served.token_file}" in connected
        assert "42" in kernel.run("%%openclaw\nwhat is 6*7?").text
        assert "agent://production/cluster-a, a cluster" in kernel.run("%openclaw").text
        near = refusal(kernel, "%openclaw connect agent://production/cluster-b")
        assert near.endswith("agent://production/cluster-b; did you mean production/cluster-a?")
        assert served.token_file.read_text(encoding="utf-8").strip() not in connected
        kernel.run("%openclaw connect agent://local")
