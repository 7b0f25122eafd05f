"""What each provider of pydantic-ai needs before it can be asked, known without importing any of it."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib.util import find_spec
from typing import NamedTuple

from ..errors import ConfigError

__all__ = ["EXAMPLES", "PROVIDERS", "Needs", "check_provider", "nearest_name"]

EXAMPLES = "offline, tape:FILE, openai-chat:gpt-5-mini, anthropic:claude-sonnet-4-6, ollama:llama3.2"


class Needs(NamedTuple):
    """``extra`` of pydantic-ai-slim that installs ``module``; any one of ``keys`` is enough.

    An ``endpoint`` that is set stands in for a key: what one serves oneself often has none.
    """

    extra: str
    module: str
    keys: tuple[str, ...] = ()
    endpoint: str = ""


def _openai(*keys: str, extra: str = "openai", endpoint: str = "") -> Needs:
    return Needs(extra, "openai", keys, endpoint)


_OPENAI = _openai("OPENAI_API_KEY", endpoint="OPENAI_BASE_URL")

OURS = {"anthropic", "google"}
"""Extras of pydantic-ai-slim that this package has under the same name."""

#: From pydantic_ai.providers (2.68), those that generate text. No keys: it is the provider's own client that knows
#: (a login, a cloud's credentials, several variables that must all be set), and it says so when first asked.
PROVIDERS: dict[str, Needs] = {
    "alibaba": _openai("ALIBABA_API_KEY", "DASHSCOPE_API_KEY"),
    "anthropic": Needs("anthropic", "anthropic", ("ANTHROPIC_API_KEY",), "ANTHROPIC_BASE_URL"),
    "azure": _openai("AZURE_OPENAI_API_KEY"),
    "azure-responses": _openai("AZURE_OPENAI_API_KEY"),
    "bedrock": Needs("bedrock", "boto3"),
    "bedrock-mantle": _openai(extra="bedrock-mantle"),
    "cerebras": _openai("CEREBRAS_API_KEY", extra="cerebras"),
    "cohere": Needs("cohere", "cohere", ("CO_API_KEY",)),
    "crusoe": _openai("CRUSOE_API_KEY"),
    "deepseek": _openai("DEEPSEEK_API_KEY"),
    "fireworks": _openai("FIREWORKS_API_KEY"),
    "github-copilot": _openai(),
    "google": Needs("google", "google.genai", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), "GOOGLE_GEMINI_BASE_URL"),
    "google-cloud": Needs("google", "google.genai"),
    "groq": Needs("groq", "groq", ("GROQ_API_KEY",)),
    "heroku": _openai("HEROKU_INFERENCE_KEY"),
    "huggingface": Needs("huggingface", "huggingface_hub", ("HF_TOKEN",)),
    "litellm": _openai(),
    "meta": _openai("META_API_KEY"),
    "mistral": Needs("mistral", "mistralai", ("MISTRAL_API_KEY",)),
    "moonshotai": _openai("MOONSHOTAI_API_KEY"),
    "nebius": _openai("NEBIUS_API_KEY"),
    "ollama": _openai(),
    "openai": _OPENAI,
    "openai-chat": _OPENAI,
    "openai-chatgpt": _openai(),
    "openai-codex": _openai(),
    "openai-responses": _OPENAI,
    "openrouter": _openai("OPENROUTER_API_KEY"),
    "ovhcloud": _openai("OVHCLOUD_API_KEY"),
    "sambanova": _openai("SAMBANOVA_API_KEY"),
    "snowflake": _openai("SNOWFLAKE_TOKEN", extra="snowflake"),
    "together": _openai("TOGETHER_API_KEY"),
    "vercel": _openai("VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
    "vllm": _openai("VLLM_BASE_URL"),
    "xai": Needs("xai", "xai_sdk", ("XAI_API_KEY",)),
    "zai": _openai("ZAI_API_KEY", extra="zai"),
}

_BY_PREFIX = {
    "gpt-": "openai-chat", "o1": "openai-chat", "o3": "openai-chat", "o4": "openai-chat", "claude": "anthropic",
    "gemini": "google", "grok": "xai", "deepseek": "deepseek", "llama": "ollama", "qwen": "ollama",
    "gemma": "ollama", "mistral": "ollama", "phi": "ollama",
}  # fmt: skip


def nearest_name(name: str) -> str | None:
    """The model name that was probably meant, or None."""
    provider, colon, model = name.partition(":")
    if not colon:
        bare = name.lower()
        for prefix, known in _BY_PREFIX.items():
            if bare.startswith(prefix):
                return f"{known}:{bare}"
    words = ("offline", "tape", *PROVIDERS)
    close = get_close_matches(provider.lower().replace("_", "-"), words, n=1, cutoff=0.6)
    if not close:
        return None
    if close[0] == "offline":
        return "offline"
    return f"{close[0]}:{model or ('FILE' if close[0] == 'tape' else 'MODEL')}"


def check_provider(name: str) -> Needs:
    """What ``name`` (``provider:model``) needs, all of it there; else ConfigError says what to install or set.

    It never tells a key's value, and a missing package or key is found without importing or asking anything.
    """
    provider, _, model = name.partition(":")
    needs = PROVIDERS[provider]
    if not model.strip():
        raise ConfigError(f"{name!r} names a provider and no model; write {provider}:MODEL")
    if not (_installed("pydantic_ai") and _installed(needs.module)):
        package = "openclaw_nb" if needs.extra in OURS else "pydantic-ai-slim"
        raise ConfigError(f'{name} needs a package that is missing: pip install "{package}[{needs.extra}]"')
    wanted = (*needs.keys, needs.endpoint) if needs.endpoint else needs.keys
    if needs.keys and not any(os.environ.get(variable) for variable in wanted):
        local = f", or {needs.endpoint} for an endpoint of your own" if needs.endpoint else ""
        raise ConfigError(f"{name} needs the environment variable {' or '.join(needs.keys)}{local}")
    return needs


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
