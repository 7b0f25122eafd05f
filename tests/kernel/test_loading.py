"""What `%load_ext` imports, and when: next to nothing in its own cell, nothing beside another, the rest when idle."""

from __future__ import annotations

import pytest

from .conftest import INSTALLED, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]


def test_the_rest_is_imported_while_no_cell_runs(kernel: Kernel) -> None:
    look = "print('openclaw_nb.commands' in sys.modules)"
    load = f"import sys, threading, time\n%load_ext openclaw_nb\ntime.sleep(0.5)\n{look}"
    beside = "print([one for one in threading.enumerate() if isinstance(one, threading.Timer)])"
    replies = [kernel.wait(cell) for cell in [kernel.submit(code) for code in (load, beside)]]
    assert [reply.text for reply in replies] == ["False\n", "[]\n"]
    said = [message for reply in replies for message in reply.messages]  # or before the second cell
    kernel.hear(lambda heard: "comm_open" in [message["msg_type"] for message in [*said, *heard]])
    assert kernel.run(look).text == "True\n"
