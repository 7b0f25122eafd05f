"""The generated haproxy.cfg in the real haproxy, before three real gateways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.balanced import play
from tests.cluster.daemons import Daemon


def test_three_gateways_behind_haproxy(
    haproxy: Callable[..., Daemon], tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    play("haproxy", haproxy, tmp_path, figure, looks=True)
