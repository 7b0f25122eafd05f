"""The models shared by all live views, over the comm that the widgets have outside of a kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import comm
import ipywidgets
import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.widgets.library import close_library, open_library, shared_layout, static


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_library()


@pytest.mark.parametrize("how", ["the page", "close_all", "close_library"])
def test_the_library_is_opened_again_after_it_was_closed(how: str) -> None:
    first, layout = open_library(), shared_layout()
    assert open_library() is first
    match how:
        case "the page":
            comm.get_comm_manager().comm_close(None, "", {"content": {"comm_id": first.model_id}})
        case "close_all":
            ipywidgets.Widget.close_all()
        case _:
            close_library()
    again = open_library()
    assert again is not first
    assert again.source == first.source
    assert (shared_layout() is layout) == (how == "the page")


def test_a_page_cannot_change_the_library() -> None:
    library = open_library()
    library.comm.handle_msg({"content": {"data": {"method": "update", "state": {"source": "forged"}}}})
    assert library.source == static("stream.js")


def test_lanes_have_a_library_of_their_own() -> None:
    assert open_library("lanes").source == static("lanes.js")
    assert open_library("lanes") is open_library("lanes")
    assert open_library("lanes") is not open_library()


def test_two_threads_open_one() -> None:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            close_library()
            with ThreadPoolExecutor(4) as pool:
                opened = [future.result() for future in [pool.submit(open_library) for _ in range(4)]]
            assert len({library.model_id for library in opened}) == 1
    finally:
        sys.setswitchinterval(usual)


def test_nothing_stays_open() -> None:
    before = set(ipywidgets.widgets.widget._instances)
    open_library(), shared_layout()
    assert len(ipywidgets.widgets.widget._instances) == len(before) + 2
    close_library()
    close_library()
    assert set(ipywidgets.widgets.widget._instances) == before


def test_the_built_files_are_small() -> None:
    assert len(static("loader.js").encode()) < 1_200
    assert len(static("view.css").encode()) <= 3_200
    assert len(static("lanes.css").encode()) <= 2_000
    assert len(static("stream.js").encode()) < 37_000
    assert len(static("lanes.js").encode()) < 48_000


def test_a_checkout_without_a_build_is_told_how_to_make_one() -> None:
    with pytest.raises(ConfigError, match="npm run build"):
        static("missing.js")
