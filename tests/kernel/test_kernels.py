"""The kernels these tests run in are what they say they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kernel

pytestmark = pytest.mark.kernel


def test_is_the_version_it_says(kernel: Kernel) -> None:
    reply = kernel.run("import ipykernel, openclaw_nb; print(ipykernel.__version__, ipykernel.__file__)")
    assert reply.status == "ok", reply.content
    version, file = reply.text.split(maxsplit=1)
    assert version == kernel.version
    assert (f"build/ipykernel-{version}" in file) == (kernel.version in {"7.2.0", "6.31.0"})


def test_outputs_are_those_of_a_front_end(kernel: Kernel) -> None:
    reply = kernel.run("print('a'); h = display('old', display_id=True); h.update('new'); print('b'); 1 + 1")
    assert reply.text == "a\n'new'b\n2"
    assert kernel.run("h.update('newer')").text == ""
    assert reply.displays()[0] == {"text/plain": "'newer'"}


def test_interrupt_from_a_message(kernel: Kernel) -> None:
    def stop(message: dict[str, object]) -> None:
        if message["msg_type"] == "stream":
            kernel.interrupt()

    reply = kernel.run("import time\nprint('on', flush=True)\ntime.sleep(30)", on_message=stop)
    assert reply.status == "error"
    assert reply.content["ename"] == "KeyboardInterrupt"
    assert kernel.run("1").text == "1"
