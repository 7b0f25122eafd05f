"""Private files: written in one piece for their owner alone, and not read where anybody else may have been."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from openclaw_nb import private_files
from openclaw_nb.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read(path: Path) -> None:
    private_files.create(path, b"one")
    assert mode(path) == 0o600
    data, stamp = private_files.read(path, 3, "key")
    assert (data, stamp) == (b"one", private_files.stamp_at(path))
    private_files.replace(path, b"two")
    assert private_files.read(path, 3, "key")[0] == b"two"
    assert private_files.stamp_at(path) != stamp
    assert os.listdir(path.parent) == [path.name]


def test_the_second_of_two_that_create_a_file_leaves_it_as_it_is(path: Path) -> None:
    private_files.create(path, b"one")
    with pytest.raises(FileExistsError):
        private_files.create(path, b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: path.symlink_to("elsewhere"), "is a symbolic link; name the file itself"),
        (lambda path: path.mkdir(), "is no regular file, so no key is kept in it"),
        (lambda path: os.mkfifo(path), "is no regular file, so no key is kept in it"),
        (lambda path: private_files.create(path, b"four"), "is no key file: above 3 bytes"),
        (lambda path: path.touch(0o640), r"is open to others \(mode 0640\); mend it with: chmod 600 /"),
    ],
)
def test_what_is_not_read(prepare: object, path: Path, words: str) -> None:
    assert callable(prepare)
    before = os.umask(0)
    try:
        prepare(path)
    finally:
        os.umask(before)
    with pytest.raises(ConfigError, match=f"^{path} {words}"):
        private_files.read(path, 3, "key")


def test_what_is_not_there(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        private_files.read(path, 3, "key")
    assert private_files.stamp_at(path) is None
    with pytest.raises(ConfigError, match="No such file or directory"):
        private_files.create(path / "below", b"")


def test_a_full_disk_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (private_files.create, private_files.replace):
        with pytest.raises(ConfigError, match=f"^{path}: No space left on device$"):
            write(path, b"one")
    assert os.listdir(path.parent) == []


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    private_files.make_folder(folder)
    assert mode(folder) == 0o700
    folder.chmod(0o755)
    private_files.make_folder(folder)
    folder.chmod(0o770)
    with pytest.raises(ConfigError, match=r"can be written by others \(mode 0770\); mend it with: chmod 700"):
        private_files.make_folder(folder)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: "):
        private_files.make_folder(tmp_path / "file")
