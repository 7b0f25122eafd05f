"""The card's rows about a cluster: how its endpoints stand, in words, and nothing where there is one gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from openclaw_nb.commands import execute
from openclaw_nb.config import ClusterConfig
from openclaw_nb.errors import ConfigError
from openclaw_nb.gateway import Gateway
from openclaw_nb.notebook import Notebook

CONFIG = """
clusters:
  production/cluster-a:
    endpoints: [{first}, {url: "{second}", weight: 2}]
    token: env:TOKEN_OF_A
    fallback: [backup]
  backup:
    endpoints: ["ws://127.0.0.1:9"]
    token: env:TOKEN_OF_A
"""


@pytest.fixture
def notebook(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """One that knows a cluster, of whose two gateways the second is away."""
    monkeypatch.setenv("TOKEN_OF_A", "a token for this")
    notebook = Notebook(shell)
    gateway = Gateway("offline:2000", token="a token for this")
    notebook.runtime.call(gateway.start()).result()
    text = CONFIG.replace("{first}", f'"{gateway.url}"').replace("{second}", "ws://127.0.0.1:9")
    notebook.runtime.configure(ClusterConfig.parse(text))
    yield notebook
    notebook.runtime.call(gateway.close()).result()
    notebook.runtime.close()


def card(notebook: Notebook, shown: CapturingDisplayPublisher) -> str:
    shown.outputs.clear()
    execute(notebook, "")
    return str(shown.outputs[-1]["data"]["text/plain"])


def test_a_cluster(notebook: Notebook, shown: CapturingDisplayPublisher) -> None:
    notebook.uri = "agent://production/cluster-a"
    assert "ws://" not in card(notebook, shown), "nobody was asked yet"
    client = notebook.client()
    assert client.send("hello").result(60)
    text = card(notebook, shown)
    assert "agent://production/cluster-a, a cluster" in text
    [up] = [state for state in client.endpoints if state.state == "up"]
    assert f"{up.url} up" in text
    assert "ws://127.0.0.1:9 " in text
    assert "backup" in text
    assert "a token for this" not in text


def test_one_gateway(notebook: Notebook, shown: CapturingDisplayPublisher) -> None:
    notebook.runtime.call(notebook.client().hello()).result(60)
    assert "up" not in card(notebook, shown).split()


def test_none_of_that_name(notebook: Notebook) -> None:
    notebook.uri = "agent://production/cluster-b"
    with pytest.raises(ConfigError, match="production/cluster-a"):
        notebook.client()
