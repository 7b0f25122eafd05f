"""What commands write: the result and the words beside it, each on its own stream."""

from __future__ import annotations

import pytest

from openclaw_nb.cli.output import say, write


def test_a_line_for_the_person_is_no_part_of_the_result(capfd: pytest.CaptureFixture[str]) -> None:
    write("one ")
    say("[from elsewhere]")
    write("result\n")
    assert capfd.readouterr() == ("one result\n", "[from elsewhere]\n")
