"""The unit, as systemd itself reads and scores it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw_nb.deploy import systemd
from openclaw_nb.errors import ConfigError
from tests.deploy.test_plan import plan

WORST = 1.5
"""The exposure that the unit may have, of 10, as `systemd-analyze security` sees it."""


def _unit(text: str = "", **options: str) -> str:
    return systemd.make(plan(text, **options)).files["openclaw-gateway.service"]


@pytest.mark.parametrize("workers", [1, 3])
def test_systemd_takes_it(tmp_path: Path, workers: int, figure: Callable[[str, str], None]) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed, so no unit was verified")
    path = tmp_path / "openclaw-gateway.service"
    path.write_text(_unit(f"gateway: {{workers: {workers}, store: {tmp_path}/s.db}}", command=sys.executable))
    checked = subprocess.run([analyze, "verify", str(path)], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    scored = subprocess.run(
        [analyze, "security", "--offline=yes", f"--threshold={int(WORST * 10)}", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert scored.returncode == 0, scored.stdout[-500:]
    found = re.search(r"Overall exposure level for \S+: (\S+)", scored.stdout)
    assert found
    figure("systemd unit", f"exposure {found[1]} of 10")


def test_what_it_runs_and_how_it_ends() -> None:
    unit = _unit("gateway: {workers: 3, drain: 50s, grace: 5s, redis: 'redis://127.0.0.1:6379/0', store: /srv/x/s.db}")
    assert "\nExecStart=/opt/openclaw/bin/openclaw-nb serve --config /etc/openclaw/gateway.yaml\n" in unit
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in unit
    assert "\nKillMode=mixed\nTimeoutStopSec=70\n" in unit
    assert "\nReadWritePaths=/srv/x\n" in unit
    assert "\nAfter=network-online.target redis-server.service\n" in unit
    assert (
        "\n# OPENCLAW_GATEWAY_TOKEN: the token that clients need\nEnvironmentFile=/etc/openclaw/gateway.env\n" in unit
    )
    assert "\nCapabilityBoundingSet=\nAmbientCapabilities=\n" in unit
    one = _unit("gateway: {token: {file: /var/lib/openclaw/token}, store: /var/lib/openclaw/s.db}")
    assert "ExecReload" not in one, "one gateway alone would die of it"
    assert "EnvironmentFile" not in one
    assert "ReadWritePaths" not in one
    assert "\nProtectHome=yes\n" in one


def test_what_needs_more() -> None:
    low = _unit("gateway: {port: 443}")
    assert "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n" in low
    assert "PrivateUsers" not in low
    assert "\nProtectHome=read-only\n" in _unit("gateway: {token: {file: /home/x/token}}")
    assert '"/opt/with space/100%%"' in _unit(command="/opt/with space/100%")
    for bad in ("/opt/a\nUser=root", '/opt/"', "/opt/$HOME"):
        with pytest.raises(ConfigError, match="has characters that a path in a unit cannot have"):
            _unit(command=bad)
