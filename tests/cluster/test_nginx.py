"""The generated openclaw.conf in the real nginx, before three real gateways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.balanced import play
from tests.cluster.daemons import Daemon


def test_three_gateways_behind_nginx(
    nginx: Callable[..., Daemon], tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    play("nginx", nginx, tmp_path, figure, looks=False)
