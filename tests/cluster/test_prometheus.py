"""A real Prometheus before ten instances: all are scraped, all questions are answered, an alert comes and goes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from openclaw_nb import Gateway, OpenClawClient
from openclaw_nb.config import AlertThresholds, Monitoring
from openclaw_nb.metrics import Exporter
from openclaw_nb.metrics.alerts import Alerts, rules
from openclaw_nb.metrics.dashboard import dashboard
from openclaw_nb.metrics.rules import JOB, alert_rules, scrape_config
from openclaw_nb.models.function import FunctionModel
from tests.cluster.daemons import Daemon, free_port

INSTANCES = 10
PACE = "500ms"  # of scrapes and of judging
WINDOW, HOLD = 3.0, 0.5
QUICK, SLOW = 1.0, 1.6  # seconds: the pauses of a busy machine are mostly shorter
LIMITS = AlertThresholds(latency_p99=QUICK, error_rate=0.5, thread_pool_utilization=0.9)
PATIENCE = 60.0


class Instances:
    """Ten gateways with an exporter each, on a loop of their own, and a client that asks them all, all the time."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.exporters: list[Exporter] = []
        self.gateways: list[Gateway] = []
        self._over = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="ten instances")

    def __enter__(self) -> Instances:
        self._thread.start()
        assert self._up.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _answer(self, prompt: str) -> AsyncIterator[str]:
        await asyncio.sleep(self.delay)
        for word in ("one ", "two ", "three"):
            yield word

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            clients = []
            for _ in range(INSTANCES):
                gateway = await stack.enter_async_context(Gateway(FunctionModel(self._answer)))
                exporter = Exporter(gateway.metrics, port=0)
                exporter.start()
                stack.push_async_callback(asyncio.to_thread, exporter.close)
                client = OpenClawClient(token=gateway.token)
                await client.connect(gateway.url)
                stack.push_async_callback(client.close)
                clients.append(client)
                self.gateways.append(gateway)
                self.exporters.append(exporter)
            self._up.set()
            while not self._over.is_set():
                await asyncio.gather(*(client.send("go", level=1 + n % 4 // 3) for n, client in enumerate(clients)))
                await asyncio.sleep(0.05)


class Api:
    """What a Prometheus says."""

    def __init__(self, daemon: Daemon) -> None:
        self._base = f"http://127.0.0.1:{daemon.port}/api/v1"
        _until(self._ready, "an answer of Prometheus")

    def _ready(self) -> bool:
        with suppress(urllib.error.HTTPError):  # it listens before it has read its data
            return bool(self.ask("query", query="1"))
        return False

    def ask(self, path: str, **params: str) -> Any:
        with urllib.request.urlopen(f"{self._base}/{path}?{urllib.parse.urlencode(params)}", timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success"
        return told["data"]

    def value(self, query: str) -> list[float]:
        return [float(row["value"][1]) for row in self.ask("query", query=query)["result"]]

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}


def _until(what: Callable[[], Any], words: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        if time.monotonic() > end:
            pytest.fail(f"{words} did not come to be")
        time.sleep(0.1)
    return found


@pytest.fixture
def instances() -> Iterator[Instances]:
    with Instances() as made:
        yield made


def _configured(instances: Instances, folder: Path) -> str:
    """What `openclaw-nb metrics scrape` and `rules` write, with the ports that are free here, at a quick pace."""
    config = yaml.safe_load(scrape_config(Monitoring(port=free_port()), INSTANCES, interval=0.5))
    targets = [f"127.0.0.1:{exporter.port}" for exporter in instances.exporters]
    config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    path = folder / "rules.yml"
    path.write_text(alert_rules(Monitoring(alert_thresholds=LIMITS), window=WINDOW, hold=HOLD))
    return yaml.safe_dump({"global": {"evaluation_interval": PACE}, "rule_files": [str(path)], **config})


def test_ten_instances(
    instances: Instances, prometheus: Callable[..., Daemon], tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    api = Api(prometheus(_configured(instances, tmp_path)))
    ups = _until(lambda: len(up := api.value(f'up{{job="{JOB}"}}')) == INSTANCES and all(up) and up, "ten instances up")
    assert ups == [1.0] * INSTANCES

    # The document's four.
    p99 = "histogram_quantile(0.99, sum by (job, le) (rate(openclaw_latency_seconds_bucket[3s])))"
    _until(lambda: [value for value in api.value(p99) if 0 < value < QUICK], "a P99 of quick answers")
    _until(lambda: len(api.value("openclaw_tokens_per_second > 0")) == INSTANCES, "tokens per second")
    # Whoever is scraped too late is unknown for a moment.
    _until(lambda: len(api.value("openclaw_thread_pool_active")) == INSTANCES, "the pools of all")
    levels = 'sum(openclaw_reasoning_level_bucket{le="1.0"}) / sum(openclaw_reasoning_level_count)'
    _until(lambda: [part for part in api.value(levels) if 0.5 < part < 1.0], "the part of level 1")
    _until(lambda: api.firing() == set(), "a moment without alerts")

    # Every question of the dashboard.
    asked = [target["expr"] for panel in json.loads(dashboard(Monitoring()))["panels"] for target in panel["targets"]]
    for query in asked:
        filled = query.replace("$__rate_interval", "3s").replace("$job", JOB).replace("$instance", ".*")
        if "openclaw_shared" in query or "errors_total" in query:
            api.value(filled)  # there is nothing to be told of these
        else:
            _until(lambda filled=filled: api.value(filled), query)

    # A model that becomes slow, and well again: Prometheus says so, and so does what a notebook would say.
    metrics = instances.gateways[0].metrics
    alerts = Alerts(rules(LIMITS, WINDOW, HOLD))

    def both(expected: set[str]) -> bool:
        alerts.look(metrics.window(WINDOW))
        return api.firing() == expected == set(alerts.firing)

    begin = time.monotonic()
    instances.delay = SLOW
    _until(lambda: both({"OpenClawFirstTokensSlow"}), "the alert")
    fired = time.monotonic() - begin
    instances.delay = 0.0
    _until(lambda: both(set()), "its end")
    figure(
        "metrics, a slow model", f"alert after {fired:.1f} s (rates over {WINDOW:g} s), gone when it was quick again"
    )
