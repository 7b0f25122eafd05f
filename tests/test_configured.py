"""Configured: what a file changes in a runtime's pool, clients, storage and clusters, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import ClusterConfig
from openclaw_nb.errors import BudgetReached, ConfigError
from openclaw_nb.front import Front
from openclaw_nb.gateway import Gateway
from openclaw_nb.runtime import Runtime, configured
from tests.served import Served

TOKEN = "t0ken-of-this-cluster-only-0123"

FILE = """
cluster: {maxThreads: 4, maxPerTask: 2, timeout: 60, streaming: false, tokenInterval: 30, snapshotInterval: 1500}
clusters:
  production/cluster-a: {endpoints: ["URL"], token: {env: CLUSTER_TOKEN}, limits: {maxLevel: 2, budget: 0.5}}
"""


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime()
    yield made
    made.close()


def test_what_the_file_says_applies_to_what_is_there_and_what_comes(runtime: Runtime) -> None:
    there = runtime.client()
    runtime.configure(ClusterConfig.parse(FILE.replace("URL", "wss://a")), "c.yaml")
    assert (runtime.pool.max_threads, runtime.pool.max_per_task, runtime.pool.timeout) == (4, 2, 60.0)
    assert (there.streaming, there.token_interval) == (False, 0.03)
    assert runtime.storage.every == 1.5
    assert (runtime.configured.file, runtime.configured.trouble) == ("c.yaml", "")
    runtime.configure(ClusterConfig.parse("cluster: {maxThreads: 6}"))
    assert (runtime.pool.max_threads, runtime.pool.max_per_task, runtime.pool.timeout) == (6, 2, 60.0)
    assert (there.streaming, there.token_interval) == (True, 0.05)
    assert runtime.storage.every == 1.5
    assert not runtime.config.clusters


def test_what_no_file_says_stays(runtime: Runtime) -> None:
    there = runtime.client()
    there.streaming, runtime.pool.max_threads = False, 5
    runtime.configure(ClusterConfig.parse("monitoring: {port: 0}"))
    assert (there.streaming, runtime.pool.max_threads, runtime.pool.timeout) == (False, 5, 300.0)


def test_the_environment_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.yaml"
    monkeypatch.setenv("OPENCLAW_NB_CONFIG", str(file))
    for text, trouble in (("cluster: {snapshotInterval: 2s}", ""), ("cluster: {snapshotInterva: 2s}", "did you mean")):
        file.write_text(text, encoding="utf-8")
        made = Runtime()
        try:
            assert made.configured.file == str(file)
            assert trouble in made.configured.trouble
            assert made.storage.every == (5.0 if trouble else 2.0)
            assert made.client().uri == "agent://local"
            with pytest.raises(ConfigError, match=trouble or "no cluster is configured"):
                made.configured.checked().cluster("production/cluster-a")
        finally:
            made.close()
    with pytest.raises(ConfigError, match="did you mean snapshotInterval"):
        configured()  # starts nothing
    assert Runtime.running() is None


def test_a_cluster_that_is_not_configured(runtime: Runtime) -> None:
    runtime.configure(ClusterConfig.parse(FILE.replace("URL", "wss://a")), "c.yaml")
    with pytest.raises(ConfigError, match=r"agent://production/cluster-b; did you mean production/cluster-a\?"):
        runtime.client("agent://production/cluster-b")
    with pytest.raises(ConfigError, match="'env:CLUSTER_TOKEN' cannot be resolved"):
        runtime.client("agent://production/cluster-a")


def test_runs_go_to_a_cluster_within_its_limits(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_TOKEN", TOKEN)
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "of-another-gateway-0123456789")
    gateway = Gateway("offline:0", TOKEN)
    runtime.call(gateway.start()).result()
    try:
        config = ClusterConfig.parse(FILE.replace("URL", gateway.url))
        runtime.configure(config, "c.yaml")
        uri = "agent://production/cluster-a"
        client = runtime.client(uri)
        assert client is runtime.client(f"{uri}/")
        assert (client.uri, client.is_local, client.streaming) == (uri, False, False)
        run = Front(level=4).send(client, "count to 3")
        assert run.result(60).text
        assert (run.level, run.level_reason) == (2, "limited to 2")
        assert client.send("count to 3", level=3).result(60).level == 2
        assert client.budget is not None
        assert (client.budget.name, client.budget.limit) == ("cluster", 0.5)
        runtime.configure(config, "c.yaml")
        assert runtime.client(uri) is client
        client.budget.settle("x", 0.5)
        raised = ClusterConfig.parse(FILE.replace("URL", gateway.url).replace("0.5}}", "0.6}}"))
        runtime.configure(raised, "c.yaml")
        again = runtime.client(uri)
        assert again is not client
        assert again.budget is client.budget
        assert again.budget.left == pytest.approx(0.1)
        runtime.call(client.close()).result()
    finally:
        runtime.call(gateway.close()).result()


def test_one_address_in_the_environment_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same notebook, at a cluster: its token may be in the file, or in the environment, where it is that one's."""
    with Served(tmp_path, "offline:0") as served:
        file = tmp_path / "c.yaml"
        for token in (f", token: {{file: {served.token_file}}}", ""):
            file.write_text(f"clusters: {{a: {{endpoints: ['{served.url}']{token}}}}}", encoding="utf-8")
            monkeypatch.setenv("OPENCLAW_NB_CONFIG", str(file))
            monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "agent://a")
            secret = served.token_file.read_text(encoding="utf-8").strip()
            monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "no-token-of-this" if token else secret)
            made = Runtime()
            try:
                assert "42" in made.client().send("what is 6*7?").result(60).text
                assert made.client().uri == "agent://a"
            finally:
                made.close()


def test_a_cluster_of_others_is_dialled_anew_too(runtime: Runtime) -> None:
    text = "clusters: {a: {endpoints: ['ws://127.0.0.1:9'], fallback: [b]}, b: {endpoints: ['ws://127.0.0.1:PORT']}}"
    runtime.configure(ClusterConfig.parse(text.replace("PORT", "9")))
    first = runtime.client("agent://a")
    runtime.configure(ClusterConfig.parse(text.replace("PORT", "9")))
    assert runtime.client("agent://a") is first
    runtime.configure(ClusterConfig.parse(text.replace("PORT", "10")))
    assert runtime.client("agent://a") is not first
    runtime.call(first.close()).result()


def test_the_budget_of_a_cluster_is_kept(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_TOKEN", TOKEN)
    runtime.configure(ClusterConfig.parse(FILE.replace("URL", "ws://127.0.0.1:9")))
    client = runtime.client("agent://production/cluster-a")
    assert client.budget is not None
    client.budget.settle("x", 0.5)
    with pytest.raises(
        BudgetReached, match=r"the cluster's budget of \$0.5.* is used up.*limits.budget of the cluster"
    ):
        Front().send(client, "x", model="openai-chat:gpt-5-mini")
    assert OpenClawClient().budget is None
