"""Past, what the history of a real gateway says of one run: its text, whether it is over, and what it used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..events import End, Usage
from ..protocol.handshake import duration
from ..protocol.openclaw import BETWEEN, count, message_text

__all__ = ["Past", "outcome_usage", "session_facts", "thinking_levels"]


@dataclass(frozen=True, slots=True)
class Past:
    """``text`` of its answers, None where there is none yet; ``so_far`` that of a run at work (protocol 4 only).

    ``messages`` are its own, without its question, and `is_whole` says that none of them is missing. Usage in tokens,
    ``cost`` in USD; None where it is not told.
    """

    text: str | None = None
    so_far: str | None = None
    has_ended: bool = False
    is_whole: bool = False
    usage: Usage | None = None
    cost: float | None = None
    model: str = ""
    messages: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls, run_id: str, prompt: str, history: Any) -> Past:
        """Of a `chat.history` reply. Protocol 4 says of each message whose run it is of; at 3 it is what stands
        behind the prompt."""
        history = history if isinstance(history, dict) else {}
        at_work = history.get("inFlightRun")
        so_far = at_work.get("text") if isinstance(at_work, dict) and at_work.get("runId") == run_id else None
        told = history.get("messages")
        messages = [message for message in told if isinstance(message, dict)] if isinstance(told, list) else []
        behind = _of_run(run_id, prompt, messages)
        own = [message for message in behind if message.get("role") == "assistant"]
        texts = [text for text in map(message_text, own) if text]
        last = own[-1] if own else {}
        return cls(
            BETWEEN.join(texts) if own else None, so_far if isinstance(so_far, str) else None,
            last.get("stopReason") == "stop", bool(behind) and behind[0] is not messages[0],
            _usage(own), _cost(own), str(last.get("model") or ""), tuple(behind),
        )  # fmt: skip

    def end(self, end: End, model: str) -> End:
        """An end, with what is known of what it used."""
        return replace(end, usage=self.usage or end.usage, cost=self.cost, model=model or self.model or end.model)


def _of_run(run_id: str, prompt: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    marked = [message for message in messages if _run_of(message) == run_id]
    if marked or any(_run_of(message) for message in messages):
        return marked
    asked = [at for at, message in enumerate(messages) if message.get("role") == "user"]
    if not asked or prompt not in message_text(messages[asked[-1]]):
        return []
    return [message for message in messages[asked[-1] + 1 :] if message.get("model") != "gateway-injected"]


def _run_of(message: dict[str, Any]) -> str:
    facts = message.get("__openclaw")
    return str(facts.get("runId", "")) if isinstance(facts, dict) else ""


def _usage(messages: list[dict[str, Any]]) -> Usage | None:
    """Of all requests of a run; those that were read from a cache are part of what was asked."""
    told = [usage for message in messages if isinstance(usage := message.get("usage"), dict)]
    if not told:
        return None
    asked = sum((count(usage.get(name)) or 0) for usage in told for name in ("input", "cacheRead", "cacheWrite"))
    cached = sum(count(usage.get("cacheRead")) or 0 for usage in told)
    return Usage(asked, sum(count(usage.get("output")) or 0 for usage in told), cached_tokens=cached)


def _cost(messages: list[dict[str, Any]]) -> float | None:
    usages = [usage for message in messages if isinstance(usage := message.get("usage"), dict)]
    costs = [duration(cost.get("total")) for usage in usages if isinstance(cost := usage.get("cost"), dict)]
    told = [cost for cost in costs if cost is not None]
    return sum(told) if told else None


def outcome_usage(result: Any) -> tuple[Usage | None, str]:
    """What a run used and its model, of the second answer to `agent`."""
    match result:
        case {"meta": {"agentMeta": {"usage": dict(usage), **facts}}}:
            return _usage([{"usage": usage}]), str(facts.get("model") or "")
        case _:
            return None, ""


def session_facts(history: Any) -> tuple[str, str, str]:
    """The provider and model of a session, and the run that is at work in it, of a `chat.history` reply of protocol 4;
    "" for what it does not say. One that a gateway took up again after its restart it does not name: "?"."""
    told = history if isinstance(history, dict) else {}
    info, at_work = (told.get(name) for name in ("sessionInfo", "inFlightRun"))
    info, at_work = (one if isinstance(one, dict) else {} for one in (info, at_work))
    unnamed = "?" if info.get("hasActiveRun") is True else ""
    return str(info.get("modelProvider", "")), str(info.get("model", "")), str(at_work.get("runId", unnamed))


def thinking_levels(models: Any, provider: str, model: str) -> tuple[str, ...]:
    """How deep a model may think, of a `models.list` reply; () where that does not say."""
    rows = models.get("models") if isinstance(models, dict) else None
    for row in rows if isinstance(rows, list) else []:
        match row:
            case {"id": str(id), "provider": str(of), "thinkingLevels": list(levels)} if (id, of) == (model, provider):
                return tuple(str(level.get("id")) for level in levels if isinstance(level, dict))
    return ()
