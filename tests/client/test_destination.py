"""Destination: the endpoints, ranks and tokens of clusters, by name, as objects, and of one gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.client.destination import Destination
from openclaw_nb.config import AgentURI, Cluster, ClusterConfig, Endpoint, Limits, TokenReference
from openclaw_nb.errors import AuthError, ConfigError, ConnectionLost
from openclaw_nb.gateway import Gateway
from tests.spine import Counted, asynchronous

CONFIG = """
clusters:
  near:
    endpoints: [{url: "wss://a.example.org", weight: 3}, "wss://b.example.org"]
    token: env:TOKEN_OF_NEAR
    balance: round-robin
    connections: 4
    model: offline
    limits: {maxRuns: 8}
    fallback: [far, farther]
  far:
    endpoints: ["wss://c.example.org"]
    token: env:TOKEN_OF_FAR
  farther:
    endpoints: ["wss://d.example.org"]
"""


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> ClusterConfig:
    monkeypatch.setenv("TOKEN_OF_NEAR", "token of near")
    monkeypatch.setenv("TOKEN_OF_FAR", "token of far")
    return ClusterConfig.parse(CONFIG)


def test_a_cluster_and_its_fallback(config: ClusterConfig) -> None:
    target = Destination.named("near", config)
    assert target.uri == "agent://near"
    assert [(place.url, place.cluster, place.rank, place.weight) for place in target.places] == [
        ("wss://a.example.org", "near", 0, 3), ("wss://b.example.org", "near", 0, 1),
        ("wss://c.example.org", "far", 1, 1), ("wss://d.example.org", "farther", 2, 1),
    ]  # fmt: skip
    assert list(target.tokens.values()) == ["token of near", "token of near", "token of far", None]
    assert (target.connections, target.max_runs, target.balance[:2]) == (4, 8, ("round-robin", "least-busy"))
    assert [target.model(place) for place in target.places] == ["offline", "offline", None, None]
    assert "token of" not in repr(target)


def test_a_token_that_is_given_is_for_the_first_cluster_only(config: ClusterConfig) -> None:
    target = Destination.named("near", config, "given")
    assert list(target.tokens.values()) == ["given", "given", "token of far", None]


def test_the_token_of_the_environment(config: ClusterConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for what OPENCLAW_GATEWAY_URL names, and never stands in for one that is missing."""
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "from env")
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "wss://d.example.org")
    assert list(Destination.named("near", config).tokens.values())[-1] == "from env"
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "agent://near")
    assert list(Destination.named("near", config).tokens.values())[-1] is None
    monkeypatch.delenv("TOKEN_OF_FAR")
    with pytest.raises(ConfigError, match="TOKEN_OF_FAR"):
        Destination.named("near", config)


def test_found_by_address(config: ClusterConfig) -> None:
    def find(text: str, token: str | None = None) -> Destination:
        return Destination.find(AgentURI.parse(text), token, lambda: ("ws://127.0.0.1:1", "its own"), lambda: config)

    local = find("agent://local", "not asked for")
    assert (local.is_local, list(local.tokens.values())) == (True, ["its own"])
    assert local.proof(local.places[0]) is None, "it is told no device"
    one = find("wss://e.example.org", "t")
    assert (one.is_local, one.uri, list(one.tokens.values()), len(one)) == (False, "wss://e.example.org", ["t"], 1)
    assert find("agent://near").uri == "agent://near"
    with pytest.raises(ConfigError, match="no cluster is configured for agent://nearer"):
        find("agent://nearer")


def test_no_endpoints() -> None:
    with pytest.raises(ConfigError, match="a cluster needs endpoints"):
        Destination.of([Cluster("empty")])


# -- what a client makes of it ---------------------------------------------------------------------


@asynchronous
async def test_connected_by_the_name_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As code without a notebook does: the file that OPENCLAW_NB_CONFIG names is read, and nothing else begun."""
    async with Gateway(model=Counted("one")) as gateway, OpenClawClient() as client:
        (tmp_path / "token").write_text(gateway.token)
        (tmp_path / "token").chmod(0o600)
        text = f'clusters: {{production/cluster-a: {{endpoints: ["{gateway.url}"], token: {{file: token}}}}}}'
        (tmp_path / "config.yaml").write_text(text)
        monkeypatch.setenv("OPENCLAW_NB_CONFIG", str(tmp_path / "config.yaml"))
        await client.connect("agent://production/cluster-a")
        assert await client.send("go") == "one"
        assert client.uri == "agent://production/cluster-a"
        assert not client.is_local
        with pytest.raises(ConfigError, match="production/cluster-a"):
            await OpenClawClient().connect("agent://production/cluster-b")
        monkeypatch.setenv("OPENCLAW_NB_CONFIG", str(tmp_path / "none.yaml"))
        with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
            await OpenClawClient().connect("agent://production/cluster-a")


@asynchronous
async def test_clusters_of_the_code_s_own_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Gateway(model=Counted("one"), token="the other's") as gateway:
        monkeypatch.setenv("TOKEN_OF_OTHER", "the other's")
        away = Cluster("first", (Endpoint("ws://127.0.0.1:9"),))
        there = Cluster("other", (Endpoint(gateway.url),), token=TokenReference("env:TOKEN_OF_OTHER"))
        async with OpenClawClient(token="the first one's") as client:
            await client.connect(away, there)
            result = await client.send("go")
            assert result.words == "done, at other, as first is away"
            with pytest.raises(ConnectionLost):
                await client.connect(away)
            with pytest.raises(ConfigError, match="a fallback stands behind a Cluster"):
                await client.connect(gateway.url, there)
        async with OpenClawClient(token="the first one's") as client:
            with pytest.raises(AuthError):
                await client.connect(Cluster("other", (Endpoint(gateway.url),), token=there.token))


HERE = Endpoint("ws://127.0.0.1:9")


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (Cluster("c"), "a cluster needs endpoints"),
        (Cluster("c", HERE), "a cluster needs endpoints"),  # type: ignore[arg-type]
        (Cluster("c", "ws://127.0.0.1:9"), "a cluster needs endpoints"),  # type: ignore[arg-type]
        (Cluster("c", (Endpoint(),)), "url of an Endpoint: '' is not the address of a gateway"),
        (
            Cluster("c", (HERE, Endpoint("ws://192.0.2.1"))),
            "url of an Endpoint: 'ws://192.0.2.1' would send the token in",
        ),
        (Cluster("c", (Endpoint("wss://gw.example.org?token=t"),)), "must hold no token"),
        (Cluster("c", (Endpoint(HERE.url, 0),)), "weight of an Endpoint: '0' is not a whole number from 1 to 100"),
        (Cluster("c", (HERE,), "a-token"), r"TokenReference\('env:VARIABLE'\), never the token itself"),  # type: ignore[arg-type]
        (Cluster("c", (HERE,), balance="fastest"), "balance of a Cluster: 'fastest' is not least-busy or round-robin"),
        (Cluster("c", (HERE,), connections=-1), "connections of a Cluster: '-1' is not a whole number from 1 to 64"),
        (Cluster("c", (HERE,), limits=Limits(max_runs=0)), "max_runs of its Limits: '0' is not a whole number"),
        (
            Cluster("c", (HERE,), limits=Limits(budget=float("nan"))),
            "budget of its Limits: 'nan' is not a number above",
        ),
        (HERE.url, "a fallback is a Cluster too"),
    ],
)
def test_what_no_file_could_say_is_refused_in_code_too(cluster: Cluster, words: str) -> None:
    fine = Cluster("f", (HERE,), limits=Limits(max_runs=1, max_level=1, budget=1e-6))
    with pytest.raises(ConfigError, match=words):
        Destination.of([fine, cluster])
    assert len(Destination.of([fine])) == 1


@asynchronous
async def test_no_more_runs_at_work_than_its_limit_and_its_model() -> None:
    async with Gateway(model="offline:500") as gateway, OpenClawClient(token=gateway.token) as client:
        limited = Cluster("c", (Endpoint(gateway.url),), model="offline:500", limits=Limits(max_runs=2))
        await client.connect(limited)
        runs = [client.send("go", session=f"s{number}") for number in range(6)]
        assert [bool(run.words) for run in runs] == [False, False, True, True, True, True]
        assert runs[2].words == "waiting for another run: 2 at once is the limit of agent://c"
        runs[3].cancel()
        results = [await run for run in runs]
        assert results[3] == ""
        assert len({str(result) for number, result in enumerate(results) if number != 3}) == 1
        assert not client.flights
