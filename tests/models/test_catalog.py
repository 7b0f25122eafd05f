"""The catalog against the installed library: the same providers, packages and variables."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import metadata

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.models.catalog import EXAMPLES, PROVIDERS, check_provider

NO_TEXT = {
    "elevenlabs", "google-decisions", "openai-decisions", "sentence-transformers", "system-one", "typesafe", "voyageai",
    "github",  # retired by GitHub, deprecated in the library
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for needs in PROVIDERS.values():
        for variable in (*needs.keys, needs.endpoint):
            monkeypatch.delenv(variable or "X", raising=False)


def test_has_every_provider_that_generates_text() -> None:
    from pydantic_ai.providers import infer_provider_class

    tree = ast.parse(inspect.getsource(infer_provider_class))
    patterns = [case.pattern for case in ast.walk(tree) if isinstance(case, ast.match_case)]
    known = {node.value for pattern in patterns for node in ast.walk(pattern) if isinstance(node, ast.Constant)}
    assert known - NO_TEXT == PROVIDERS.keys()


def test_extras_are_those_of_the_library() -> None:
    extras = metadata("pydantic-ai-slim").get_all("Provides-Extra") or []
    assert {needs.extra for needs in PROVIDERS.values()} <= set(extras)


@pytest.mark.parametrize("name", [name for name, needs in PROVIDERS.items() if needs.module == "openai" and needs.keys])
def test_variables_are_those_the_library_asks_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no variable set the library refuses, and a variable of ours is in its words."""
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.providers import infer_provider_class

    with pytest.raises(ConfigError, match=PROVIDERS[name].keys[0]):
        check_provider(f"{name}:some-model")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://x.invalid/openai/v1/")
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "x-y")
    with pytest.raises(UserError) as caught:
        infer_provider_class(name)()
    assert any(variable in str(caught.value) for variable in PROVIDERS[name].keys)


def test_key_or_endpoint_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint of your own"):
        check_provider("openai:gpt-5")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    check_provider("openai:gpt-5")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(ConfigError):
        check_provider("openai:gpt-5")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    check_provider("openai:gpt-5")


def test_examples_are_names() -> None:
    providers = [example for example in EXAMPLES.split(", ") if example.split(":")[0] not in ("offline", "tape")]
    assert all(example.split(":")[0] in PROVIDERS for example in providers)
