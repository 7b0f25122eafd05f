"""corrections: what is kept of a level set by hand, where, for whom to read, and what a bad file does."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from openclaw_nb import corrections as module
from openclaw_nb.corrections import Corrections, corrections_file, learning_predictor
from openclaw_nb.errors import ConfigError
from openclaw_nb.reasoning.predictor import MOST_CORRECTIONS, Correction

ONE = Correction({"translation": 1, "words": 6}, 3)
OTHER = Correction({"fact": 2}, 1)

posix = pytest.mark.skipif(os.name != "posix", reason="modes of files are of POSIX")


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user chose for what is kept."""
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_what_is_added_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "data" / "corrections.jsonl"
    kept = Corrections(file)
    assert kept.read() == []
    kept.add(ONE)
    kept.add(OTHER)
    assert kept.read() == Corrections(file).read() == [ONE, OTHER]
    assert json.loads(file.read_text().splitlines()[0]) == {"level": 3, "features": {"translation": 1, "words": 6}}


@posix
def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "corrections.jsonl"
    Corrections(file).add(ONE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    Corrections(file).add(OTHER)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b"3", b'{"level": 3}',
        b'{"level": 5, "features": {"fact": 1}}',
        b'{"level": true, "features": {"fact": 1}}', b'{"level": 3.0, "features": {"fact": 1}}',
        b'{"level": 3, "features": {}}', b'{"level": 3, "features": {"unheard of": 1}}',
        b'{"level": 3, "features": [1]}',
        b'{"level": 3, "features": {"fact": -1}}', b'{"level": 3, "features": {"fact": 1e9}}',
        b'{"level": 3, "features": {"fact": 99999}}', b'{"level": [3], "features": {"fact": 1}}',
    ],
    ids=range(17),
)  # fmt: skip
def test_lines_that_are_no_corrections_are_left_out(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "corrections.jsonl"
    kept = Corrections(file)
    kept.add(ONE)
    with file.open("ab") as there:
        there.write(line)  # and no end of line, as where a process died
    kept.add(OTHER)
    assert kept.read() == [ONE, OTHER]


def test_features_of_another_version_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    file.write_text('{"level": 2, "features": {"fact": 1, "mood": 4}, "more": 1}\n')
    assert Corrections(file).read() == [Correction({"fact": 1}, 2)]


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 20_000)
    file = tmp_path / "corrections.jsonl"
    kept = Corrections(file)
    for count in range(1, 601):
        kept.add(Correction({"words": count}, 2))
        assert file.stat().st_size <= 20_100
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    read = kept.read()
    assert len(read) == MOST_CORRECTIONS
    assert read[-1].features == {"words": 600}


def test_of_a_huge_file_only_the_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    with file.open("wb") as there:
        there.truncate(2_000_000_000)  # a hole, which takes no room
        there.seek(0, os.SEEK_END)
        there.write(b'\n{"level":2,"features":{"fact":1}}\n')
    assert Corrections(file).read() == [Correction({"fact": 1}, 2)]


def test_several_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"

    def write(level: int) -> None:
        kept = Corrections(file)  # its own, as another process has
        for _ in range(40):
            kept.add(Correction({"fact": level}, level))

    threads = [threading.Thread(target=write, args=(level,)) for level in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.level for each in Corrections(file).read()) == sorted([1, 2, 3, 4] * 40)


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    kept = Corrections(tmp_path / "file" / "corrections.jsonl")
    with caplog.at_level(logging.WARNING, "openclaw_nb"):
        kept.add(ONE)
        assert kept.read() == []
    assert "corrections of levels are not kept" in caplog.text


def test_nothing_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", "memory")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert corrections_file() is None
    predictor = learning_predictor()
    predictor.learn("Who wrote Faust?", 2)
    assert len(predictor.corrections) == 1
    assert list(tmp_path.iterdir()) == []
    assert Corrections(None).read() == []


def test_outside_of_a_kernel_a_place_has_to_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENCLAW_NB_SNAPSHOTS")
    assert corrections_file() is None


@posix
def test_in_the_users_data_there_is_one_file_for_all_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for choice in ("data", "beside"):
        monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", choice)
        found = corrections_file()
        assert found is not None
        assert (found.parent.name, found.name) == ("openclaw_nb", "corrections.jsonl")


def test_a_choice_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", "somewhere")
    with pytest.raises(ConfigError, match="somewhere"):
        corrections_file()


def test_the_next_kernel_knows_what_this_one_learned(chosen: Path) -> None:
    task = "Translate the name Rumpelstiltskin into Polish."
    first = learning_predictor()
    assert first.look(task) == 2
    for _ in range(4):
        first.learn(task, 4)
    assert learning_predictor() is first
    again = module._learning(chosen / "corrections.jsonl")  # as in another process
    assert again.corrections == first.corrections
    assert again.look(task) == first.look(task) == 4
    assert "umpel" not in (chosen / "corrections.jsonl").read_text()
