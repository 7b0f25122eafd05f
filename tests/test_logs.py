"""WithoutFrames: no level that anybody sets lets a frame through, and what is no frame is logged as ever."""

from __future__ import annotations

import logging

import pytest

from openclaw_nb.logs import WithoutFrames


def test_nothing_below_info(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("openclaw_nb.test_logs")
    log = WithoutFrames(logger)
    with caplog.at_level(1, logger.name):
        assert logger.isEnabledFor(1)
        for level in (1, 9, logging.DEBUG, logging.INFO, logging.ERROR):
            log.log(level, "at %d", level)
    assert caplog.messages == ["at 20", "at 40"]
    with caplog.at_level(logging.ERROR, logger.name):
        assert not log.isEnabledFor(logging.WARNING)
