"""resolve: what each name means, and what is said about one that means nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.models import resolve
from openclaw_nb.models.function import FunctionModel
from openclaw_nb.models.offline import OfflineModel
from openclaw_nb.models.providers import ProviderModel
from openclaw_nb.models.tape import TapeModel


async def mine(prompt: str) -> AsyncIterator[str]:
    yield prompt


async def value(prompt: str) -> str:
    return prompt


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789abcdef")


class Notebook:
    def lookup(self, name: str) -> object:
        return {"x": 41 + 1}[name]

    def last_exception(self) -> BaseException | None:
        return None


def test_offline() -> None:
    assert resolve("offline").name == "offline"
    model = resolve("offline:500", workspace=Notebook())
    assert isinstance(model, OfflineModel)
    assert model.rate == 500
    assert isinstance(model._workspace, Notebook)


def test_a_key_in_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with_key = resolve("offline").name
    monkeypatch.delenv("OPENAI_API_KEY")
    assert resolve("offline").name == with_key


def test_tape(tmp_path: Path) -> None:
    path = tmp_path / "a:b.jsonl"
    path.write_text('{"deltas": []}\n')
    assert isinstance(resolve(f"tape:{path}"), TapeModel)


@pytest.mark.parametrize("name", ["openai:gpt-5", "openai-chat:gpt-5", " openai-responses:gpt-5 ", "ollama:llama3:8b"])
def test_provider(name: str) -> None:
    model = resolve(name)
    assert isinstance(model, ProviderModel)
    assert model.name == name.strip()


def test_models_and_functions_as_they_are() -> None:
    model = FunctionModel(mine)
    assert resolve(model) is model
    assert resolve(mine).name == "mine"


def test_by_the_name_in_the_notebook() -> None:
    model = FunctionModel(mine)
    namespace = {"mine": mine, "m": model}
    assert isinstance(resolve("mine", namespace=namespace), FunctionModel)
    assert resolve("m", namespace=namespace) is model


def test_notebook_does_not_take_over_names() -> None:
    assert not isinstance(resolve("offline", namespace={"offline": mine}), FunctionModel)


@pytest.mark.parametrize("found", [value, 3, FunctionModel, lambda prompt: prompt])
def test_something_else_in_the_notebook(found: Any) -> None:
    with pytest.raises(ConfigError, match=r"^x in this notebook is .* and no model"):
        resolve("x", namespace={"x": found})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-5-mini", "openai-chat:gpt-5-mini"),
        ("claude-sonnet-4-5", "anthropic:claude-sonnet-4-5"),
        ("llama3.2", "ollama:llama3.2"),
        ("open-ai:gpt-5", "openai:gpt-5"),
        ("openai_chat:gpt-5", "openai-chat:gpt-5"),
        ("Anthropic:claude", "anthropic:claude"),
        ("olama:llama3", "ollama:llama3"),
        ("offlin", "offline"),
        ("tape", "tape:FILE"),
        ("openai", "openai:MODEL"),
    ],
)
def test_nearest_name(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(name)
    assert f"there is no model {name!r} (did you mean {meant}?)" in str(caught.value)
    assert "offline" in str(caught.value)


@pytest.mark.parametrize("name", ["", "zzzz", "::", "x" * 10_000, "a\nb", "http://127.0.0.1:8000/v1"])
def test_nothing_near(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no model") as caught:
        resolve(name)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (None, "not NoneType"),
        (3, "not int"),
        (ProviderModel, "ProviderModel is a class"),
        (value, "value cannot be a model: it is a coroutine function"),
        ("tape:", "needs the file"),
        ("openai-chat:", "names a provider and no model"),
    ],
)
def test_what_is_wrong(spec: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(spec)


def test_missing_package_and_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.models.catalog._installed", lambda module: module != "anthropic")
    with pytest.raises(ConfigError, match=r'pip install "openclaw_nb\[anthropic\]"'):
        resolve("anthropic:claude-sonnet-4-5")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        resolve("openai:gpt-5")


def test_importing_it_is_light() -> None:
    code = "import sys, openclaw_nb.models; print([n for n in ('pydantic_ai', 'difflib') if n in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
