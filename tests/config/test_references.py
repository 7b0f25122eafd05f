"""references: where a secret is, in every spelling, read when it is needed, and nothing repeated that may be one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from openclaw_nb.config import TokenReference
from openclaw_nb.config.document import Reading, compose
from openclaw_nb.config.references import Reference
from openclaw_nb.errors import ConfigError
from openclaw_nb.redaction import redact

TOKEN = "t0ken-of-thirty-two-characters-x"


def read(text: str, folder: Path = Path("/here")) -> TokenReference:
    reading = Reading("c", folder)
    node: Any = compose(text, reading)
    return Reference().read(node, reading)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("env:TOKEN", "env:TOKEN"),
        ("{env: TOKEN}", "env:TOKEN"),
        ("{env: 'TOKEN'}", "env:TOKEN"),
        ("file:token", "file:/here/token"),
        ("{file: /run/token}", "file:/run/token"),
        ("'file:a b'", "file:/here/a b"),
        ("keyring:service/user", "keyring:service/user"),
        ("{keyring: service/user}", "keyring:service/user"),
    ],
)
def test_references(text: str, reference: str) -> None:
    assert str(read(text)) == reference
    shape = {key: value for key, _, value in [text.strip("{}").replace("'", "").partition(": ")]}
    assert Draft202012Validator(Reference().schema()).is_valid(shape if text[0] == "{" else text.strip("'"))


@pytest.mark.parametrize(
    "text",
    [
        "s3cret-s3cret", "env:", "env:s3cret s3cret", "file:", "{file: ' '}", "{value: s3cret}", "{env: {s3cret: 1}}",
        "{env: A, s3cret: B}", "[s3cret]", "s3cret:s3cret", "vault:s3cret", "{s3cret: 1}", "12345678", "{}", "{env: }",
        "https://user:s3cret@host", "'env:s3cret\\n'",
    ],
)  # fmt: skip
def test_what_is_none_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(text)
    assert "s3cret" not in str(refusal.value)
    assert "{env: VARIABLE}" in str(refusal.value)


def test_it_is_read_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = TokenReference("env:SOME_PLACE")
    with pytest.raises(ConfigError, match="'env:SOME_PLACE' cannot be resolved: the variable SOME_PLACE is not set"):
        reference.read()
    monkeypatch.setenv("SOME_PLACE", TOKEN)
    assert reference.read() == TOKEN
    assert TOKEN not in repr(reference)
    file = tmp_path / "token"
    kept = read("file:token", tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        kept.read()
    file.touch(0o600)
    file.write_text(f"{TOKEN}-2\n{TOKEN}\n", encoding="utf-8")
    assert kept.read() == f"{TOKEN}-2"
    assert redact(f"{TOKEN}-2") == f"file:{file}"
    if os.name == "posix":
        file.chmod(0o644)
        with pytest.raises(ConfigError, match="chmod 600"):
            kept.read()
