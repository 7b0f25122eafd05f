"""Tokens: made, kept for their owner alone, rotated, revoked; and every file that cannot be trusted."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.tokens import LARGEST, SHORTEST, TokenFile, Tokens

SECRET = "0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


def keep(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


# -- in memory -------------------------------------------------------------------------------------


def test_a_token_is_made_and_not_shown() -> None:
    (one,), (other,) = Tokens().current(), Tokens().current()
    assert len(one) >= 43
    assert one != other
    assert SECRET not in repr(Tokens(SECRET))


def test_rotated_and_revoked() -> None:
    tokens = Tokens("first")
    tokens.rotate()
    second, *rest = tokens.current()
    assert rest == ["first"]
    tokens.rotate()
    third, *rest = tokens.current()
    assert rest == [second], "two at most are valid"
    tokens.revoke()
    assert tokens.current() == (third,)
    with pytest.raises(ConfigError, match=r"^there is only one token, which stays valid; rotate it before you revoke$"):
        tokens.revoke()
    assert tokens.current() == (third,)


# -- in a file -------------------------------------------------------------------------------------


def test_a_file_is_made_once(path: Path) -> None:
    tokens = TokenFile.ensure(path)
    (token,) = tokens.current()
    assert path.read_text() == token + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenFile.ensure(path).current() == TokenFile(path).current() == (token,)
    assert os.listdir(path.parent) == ["token"]
    assert token not in repr(tokens)


def test_no_other_can_read_it_at_any_moment(path: Path) -> None:
    """Whatever the umask, and while it is written: nothing in the folder is open to others."""
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        over = False
        while not over:
            over = done.is_set()  # and once more then, as it may have had no turn before
            for entry in os.scandir(path.parent):
                try:
                    seen.add(stat.S_IMODE(entry.stat().st_mode))
                except FileNotFoundError:
                    continue

    looking = threading.Thread(target=look)
    before = os.umask(0)
    looking.start()
    try:
        tokens = TokenFile.ensure(path)
        for _ in range(30):
            tokens.rotate()
            tokens.revoke()
    finally:
        os.umask(before)
        done.set()
        looking.join()
    assert seen == {0o600}


def test_a_reader_sees_whole_files_only(path: Path) -> None:
    tokens = TokenFile.ensure(path)
    counts: list[int] = []
    done = threading.Event()

    def read() -> None:
        over = False
        while not over:
            over = done.is_set()  # and once more then, as it may have had no turn before
            counts.append(len(TokenFile(path).current()))

    reading = threading.Thread(target=read)
    reading.start()
    for _ in range(50):
        tokens.rotate()
        tokens.revoke()
    done.set()
    reading.join()
    assert counts
    assert set(counts) <= {1, 2}


def test_who_comes_second_takes_the_token_of_who_came_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link(source: Path, target: Path) -> None:
        keep(path, SECRET)
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    assert TokenFile.ensure(path).current() == (SECRET,)
    assert os.listdir(path.parent) == ["token"]


def test_where_there_are_no_hard_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    token = TokenFile.ensure(path).current()
    assert TokenFile(path).current() == token
    assert os.listdir(path.parent) == ["token"]


def test_rotating_and_revoking_are_seen_by_others(path: Path) -> None:
    gateway, command = TokenFile.ensure(path), TokenFile(path)
    (first,) = gateway.current()
    for _ in range(20):
        command.rotate()
        second, old = gateway.current()
        assert old == first
        command.revoke()
        assert gateway.current() == (second,)
        first = second
    with pytest.raises(ConfigError, match=f"^there is only one token in {path}, which stays valid"):
        command.revoke()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["token"]


def test_every_line_is_a_token(path: Path) -> None:
    keep(path, f"{SECRET}1\r\n\n  {SECRET}2\t\n{SECRET}3")
    assert TokenFile(path).current() == (f"{SECRET}1", f"{SECRET}2", f"{SECRET}3")


def test_a_file_at_a_place_that_is_relative_stays_where_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    tokens = TokenFile.ensure("token")
    monkeypatch.chdir("/")
    tokens.rotate()
    assert len(TokenFile(path).current()) == 2


# -- files that are not trusted --------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777])
def test_a_file_that_is_open_to_others(path: Path, mode: int) -> None:
    keep(path, SECRET, mode)
    with pytest.raises(ConfigError) as error:
        TokenFile(path)
    assert str(error.value) == f"{path} is open to others (mode 0{mode:03o}); mend it with: chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_is_not(path: Path, mode: int) -> None:
    assert TokenFile(keep(path, SECRET, mode)).current() == (SECRET,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; delete it to have a new token made"),
        (" \n\r\n\t\n", "is empty; delete it to have a new token made"),
        ("short", f"line 1 of {{}} is no token, which has {SHORTEST} characters or more"),
        (f"{SECRET}\n{SECRET[1:]}\n", f"line 2 of {{}} is no token, which has {SHORTEST} characters or more"),
        (f"{SECRET} {SECRET}", "line 1 of {} is no token, which is ASCII without spaces"),
        (f"{SECRET}\n# the old one\n", "line 2 of {} is no token, which is ASCII without spaces"),
        (f"\ufeff{SECRET}", "line 1 of {} is no token, which is ASCII without spaces"),
        (SECRET + "é", "line 1 of {} is no token, which is ASCII without spaces"),
        (b"\x7fELF\x00\x01\x02" * 9, "line 1 of {} is no token, which is ASCII without spaces"),
        (SECRET.encode("utf-16"), "line 1 of {} is no token, which is ASCII without spaces"),
        (b"x" * (LARGEST + 1), "is no token file: above 4,096 bytes"),
    ],
)
def test_what_is_no_token_file(path: Path, content: str | bytes, words: str) -> None:
    keep(path, content)
    with pytest.raises(ConfigError) as error:
        TokenFile.ensure(path)
    said = str(error.value)
    assert words.format(path) in said
    assert str(path) in said
    assert "\n" not in said
    assert SECRET not in said, "what is wrong with it, never what is in it"


def test_what_is_no_file(tmp_path: Path) -> None:
    target = keep(tmp_path / "target", SECRET)
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, words in {
        "link": "is a symbolic link; name the file itself",
        "dangling": "is a symbolic link; name the file itself",
        ".": "is no regular file",
        "pipe": "is no regular file",
        "nowhere/token": "No such file or directory",
        "target/token": "Not a directory",
    }.items():
        with pytest.raises(ConfigError, match=words):
            TokenFile.ensure(tmp_path / name)
    with pytest.raises(ConfigError, match=f"^{tmp_path}/nowhere: No such file or directory$"):
        TokenFile(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to give a file away")
def test_a_file_of_another_user(path: Path) -> None:
    os.chown(keep(path, SECRET), 65_534, -1)
    with pytest.raises(ConfigError, match=f"^{path} belongs to another user"):
        TokenFile(path)


def test_a_folder_that_cannot_be_written_keeps_the_tokens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenFile(keep(path, SECRET))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=f"^{path}: No space left on device$"):
        tokens.rotate()
    assert TokenFile(path).current() == (SECRET,)
    assert os.listdir(path.parent) == ["token"]


# -- a file that changes under a gateway -----------------------------------------------------------


def test_while_a_file_cannot_be_read_its_tokens_stay_and_the_log_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = TokenFile(keep(path, SECRET))

    def said() -> list[str]:
        for _ in range(5):
            assert tokens.current() == (SECRET,)
        messages = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return messages

    away = path.rename(path.with_name("away"))
    assert said() == [f"{path}: No such file or directory; the tokens known before stay valid"]
    keep(path, "")
    assert said() == [f"{path} is empty; delete it to have a new token made; the tokens known before stay valid"]
    away.rename(path)
    assert said() == []
    path.chmod(0o644)
    assert said() == [
        f"{path} is open to others (mode 0644); mend it with: chmod 600 {path}; the tokens known before stay valid"
    ]
    path.chmod(0o600)
    assert said() == []
    path.chmod(0o644)
    assert len(said()) == 1, "again, as it had been mended"
    path.chmod(0o600)
    keep(path, SECRET + "2")
    assert tokens.current() == (SECRET + "2",)
