"""A Secret is its reference, whatever is done with it, and the value only where it is asked for."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import types

import pytest

from openclaw_nb import Secret as Public
from openclaw_nb import secret
from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import AuthError, ConfigError
from openclaw_nb.gateway import Gateway
from openclaw_nb.secret import Secret, reveal, revealed
from tests.spine import asynchronous

VALUE = "v4lue-that-nobody-sees"


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_TEST_KEY", VALUE)
    monkeypatch.setattr(secret, "_revealed", {})


def test_everything_shows_the_reference() -> None:
    one = Secret("env:OPENCLAW_NB_TEST_KEY")
    assert Public is Secret
    shown = [
        str(one), f"{one}", f"{one!s:>40}", "{0}".format(one), repr(one), repr([one]), repr({"token": one}),  # noqa: UP030, UP032
        json.dumps({"t": one}), one + "", one.upper().lower(), repr(vars(type(one))), str(copy.deepcopy([one])),
    ]  # fmt: skip
    assert all(VALUE not in text for text in shown)
    assert repr(one) == "Secret('env:OPENCLAW_NB_TEST_KEY')"
    assert json.dumps([one]) == '["env:OPENCLAW_NB_TEST_KEY"]'
    assert VALUE.encode() not in pickle.dumps(one)
    for same in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert type(same) is Secret
        assert same == one
        assert hash(same) == hash(one)
    assert one != Secret("env:OPENCLAW_NB_TEST_KEY_2")
    with pytest.raises(AttributeError):
        one.value = VALUE  # type: ignore[attr-defined]


def test_the_value_is_looked_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Secret("env:OPENCLAW_NB_TEST_KEY")
    assert one.reveal() == VALUE
    monkeypatch.setenv("OPENCLAW_NB_TEST_KEY", "another-value")
    assert one.reveal() == "another-value"
    assert dict(revealed()) == {VALUE: str(one), "another-value": str(one)}
    for gone in ("", None):
        if gone is None:
            monkeypatch.delenv("OPENCLAW_NB_TEST_KEY")
        else:
            monkeypatch.setenv("OPENCLAW_NB_TEST_KEY", gone)
        with pytest.raises(ConfigError, match="'env:OPENCLAW_NB_TEST_KEY' cannot be resolved: the variable"):
            one.reveal()


@pytest.mark.parametrize(
    "text",
    [VALUE, "", "env:", "env:sk-1234", "env:A B", "env:A=B", "env:1A", "keyring:", "keyring:x", "keyring:/u",
     "keyring:s/", "ENV:A", "env:A\n", "file:/etc/passwd", "env:" + "A" * 200, "keyring:s/u\x1b[2J", None, 5, b"env:A"],
)  # fmt: skip
def test_no_reference_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Secret(text)
    assert str(refusal.value) == "a Secret takes a reference, env:NAME or keyring:SERVICE/USER, never the value itself"


def test_a_pickle_makes_no_secret_of_a_value() -> None:
    forged = pickle.dumps(Secret("env:OPENCLAW_NB_TEST_KEY")).replace(
        b"env:OPENCLAW_NB_TEST_KEY", b"xyz:OPENCLAW_NB_TEST_KEY"
    )
    with pytest.raises(ConfigError):
        pickle.loads(forged)


def keyring(monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    """A keyring as the package of that name offers it: its own file backends ask for passwords at a terminal."""
    module = types.ModuleType("keyring")

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise RuntimeError(VALUE)
        return entries.get(f"{service}/{user}")

    module.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)


def test_of_a_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring(monkeypatch, **{"openclaw/ada": VALUE, "https://x.example/a/ada": "two-slashes"})
    assert Secret("keyring:openclaw/ada").reveal() == VALUE
    assert Secret("keyring:https://x.example/a/ada").reveal() == "two-slashes"
    with pytest.raises(ConfigError, match="'keyring:openclaw/eve' cannot be resolved: the keyring has no such entry"):
        Secret("keyring:openclaw/eve").reveal()
    with pytest.raises(ConfigError) as refusal:
        Secret("keyring:locked/ada").reveal()
    assert str(refusal.value) == "'keyring:locked/ada' cannot be resolved: RuntimeError in the keyring"
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match="the package keyring is not installed"):
        Secret("keyring:openclaw/ada").reveal()


def test_tokens_of_users() -> None:
    assert reveal(None) is None
    assert reveal("a-token") == "a-token"
    assert reveal("env:OPENCLAW_NB_TEST_KEY") == reveal(Secret("env:OPENCLAW_NB_TEST_KEY")) == VALUE
    with pytest.raises(ConfigError, match="'env:OPENCLAW_NB_NO_SUCH' cannot be resolved"):
        reveal("env:OPENCLAW_NB_NO_SUCH")


@asynchronous
async def test_wherever_a_token_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked up when it is used: a client made before its variable is set connects after it is."""
    one = Secret("env:OPENCLAW_NB_TEST_LATER")
    client = OpenClawClient(token=one)
    async with Gateway(token="env:OPENCLAW_NB_TEST_KEY") as gateway:
        with pytest.raises(ConfigError, match="'env:OPENCLAW_NB_TEST_LATER' cannot be resolved"):
            await client.connect(gateway.url)
        monkeypatch.setenv("OPENCLAW_NB_TEST_LATER", VALUE)
        await client.connect(gateway.url)
        assert client.connected
        assert VALUE not in repr(client) + repr(gateway) + repr(vars(gateway._tokens).keys())
        await client.close()
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", str(one))
        async with OpenClawClient() as another:
            await another.connect(gateway.url)
            assert another.connected
        with pytest.raises(AuthError):
            await OpenClawClient(token=f" {one}").connect(gateway.url)


def test_what_was_revealed_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(150):
        monkeypatch.setenv("OPENCLAW_NB_TEST_KEY", f"value-number-{number}")
        Secret("env:OPENCLAW_NB_TEST_KEY").reveal()
    assert len(revealed()) == 100
    assert "value-number-149" in revealed()
    monkeypatch.setenv("OPENCLAW_NB_TEST_KEY", "short")
    assert Secret("env:OPENCLAW_NB_TEST_KEY").reveal() == "short"
    assert "short" not in revealed()
