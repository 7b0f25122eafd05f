"""The version, stated once: what is imported is what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

import openclaw_nb
from openclaw_nb.version import __version__


def test_is_the_installed_one() -> None:
    try:
        installed = version("openclaw_nb")
    except PackageNotFoundError:
        pytest.skip("openclaw_nb is on the path but not installed")
    assert openclaw_nb.__version__ == __version__ == installed
