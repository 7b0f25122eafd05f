"""The offline model's use of tools: a prompt that says ``use NAME(…)`` gets that call made, and what it gave told."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..prompts import fence_for
from .base import Message, ModelRequest, ToolCall, ToolDefinition
from .question import Question

__all__ = ["Use", "given", "next_use"]

SHOWN = 2_000  # characters of a result

_WANTED = re.compile(r"\b(?:use|call|then|and)\s+(?:the tool\s+)?`?(?P<name>[A-Za-z_]\w*)\(", re.IGNORECASE)
_BEGINS = re.compile(r"\b(?:use|call)\s+(?:the tool\s+)?`?[A-Za-z_]\w*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Use:
    """What is said next, and the call that is asked for after it, None where all calls have been made."""

    text: str
    call: ToolCall | None = None


def next_use(question: Question, request: ModelRequest) -> Use | None:
    """The next thing to do for a prompt that asks for tools which are there; None where it asks for none.

    The calls are made one after another, in the order of the prompt. Their arguments are literals of Python, in order
    or by name; nothing in a prompt is ever run.
    """
    wanted = _wanted(question.text, request.tools)
    if not wanted:
        return None
    results = given(request.messages)
    said = _told(results[-1]) if results else ""
    if len(results) >= len(wanted):
        return Use(said.rstrip())
    source, call = wanted[len(results)]
    if call is None:
        return Use(f"{said}I cannot use `{source}`: its arguments have to be literals, such as 2 or 'Paris'.")
    return Use(f"{said}I use `{source}`. ", call)


def _wanted(text: str, tools: Sequence[ToolDefinition]) -> list[tuple[str, ToolCall | None]]:
    """The calls that a text asks for, each as it was written and as it was read."""
    known = {tool.name: tool for tool in tools}
    start = _BEGINS.search(text) if known else None
    if start is None:
        return []
    found = _WANTED.finditer(text, start.start())
    return [_read(text[match.start("name") :], known[match["name"]]) for match in found if match["name"] in known]


def _read(text: str, tool: ToolDefinition) -> tuple[str, ToolCall | None]:
    """The call that ``text`` begins with: up to the first closing parenthesis where it is one."""
    for end in (match.end() for match in re.finditer(r"\)", text[:SHOWN])):
        try:
            call = ast.parse(text[:end], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return text[:end], _call(call, tool)
    return f"{tool.name}(…)", None


def _call(call: ast.expr, tool: ToolDefinition) -> ToolCall | None:
    names = list(tool.schema["properties"])
    if not isinstance(call, ast.Call) or len(call.args) > len(names):
        return None
    written = [*zip(names, call.args, strict=False), *((word.arg, word.value) for word in call.keywords)]
    if any(name is None for name, _ in written):
        return None
    try:
        arguments = {name: ast.literal_eval(value) for name, value in written}
        return ToolCall("", tool.name, json.loads(json.dumps(arguments)))
    except (ValueError, TypeError, RecursionError):
        return None


def given(messages: Sequence[Message]) -> list[str]:
    """What tools gave since the user's last message."""
    results: list[str] = []
    for message in messages:
        if message["role"] == "user":
            results.clear()
        elif message["role"] == "tool":
            results.append(message["content"])
    return results


def _told(result: str) -> str:
    shown = result if len(result) <= SHOWN else f"{result[:SHOWN]}…"
    if "\n" not in shown:
        return f"It gives: {shown}\n\n"
    fence = fence_for(shown)
    return f"It gives:\n\n{fence}text\n{shown}\n{fence}\n\n"
