"""openclaw-nb doctor: a line for each thing it looks at, the same for programs, and 1 where something is broken."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.processes import run
from tests.cluster.daemons import free_port


def test_doctor() -> None:
    done = run("doctor")
    assert done.returncode == 0, done.stdout
    assert "ok      gateway: agent://local answers\n" in done.stdout
    assert "ok      text: it is seen soon after it was made: 70 ms at most" in done.stdout
    assert "broken" not in done.stdout
    broken = run("doctor", "--to", "ws://127.0.0.1:9")
    assert broken.returncode == 1
    assert "broken  gateway" in broken.stdout


def test_a_look_is_no_failure_and_programs_see_it(tmp_path: Path) -> None:
    config = tmp_path / "cluster.yaml"
    config.write_text(f"cluster: {{tokenInterval: 2000}}\ngateway: {{redis: 'redis://127.0.0.1:{free_port()}/0'}}\n")
    done = run("doctor", "--json", env={"OPENCLAW_NB_CONFIG": str(config)})
    assert done.returncode == 0, done.stdout
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert set(found["gateway"]) == {"name", "state", "words", "measured", "remedy", "figures"}
    assert found["link"]["figures"]["p99"] > 0
    assert found["text"]["state"] == found["redis"]["state"] == "look"
    assert found["text"]["figures"]["tokenInterval"] == 2.0


def test_without_figures() -> None:
    lines = run("doctor", env={"OPENCLAW_NB_RENDER": "static"}).stdout
    assert "ok      descriptors: enough can be opened\n" in lines
    assert "ok      gateway: agent://local answers\n" in lines


def test_a_probe_is_asked_for() -> None:
    refused = run("doctor", "--probe", input="")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
