"""The model behind the real gateways: OpenAI's chat completions, told by the message itself what to answer.

A message may hold: `[n=30]` tokens of answer, `[ms=10]` between them, `[first=200]` ms before the first, `[think=5]`
tokens of thought, `[exec=echo hi]` a command to call for, `[call=NAME {…}]` any tool with its arguments, `[fail]` a
refusal, and `[echo]`: what came with the request (model, effort, messages, tools, images) as the answer.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # it is in no package then
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.mock_openai import MockOpenAI
from tests.mock_server import alone
from tests.mock_wire import Answer, Body, Reply, Request

__all__ = ["Asked", "DirectedModel", "ModelProcess", "answer_to"]

ASKED = "/asked"
"""Where a model tells what it was asked, to `ModelProcess`."""

_DIRECTIVE = re.compile(r"\[(n|ms|first|think|exec|call|fail|echo)(?:=([^\]]*))?\]")


def answer_to(message: str) -> str:
    """The whole text that a message is answered with, where it neither echoes nor calls a tool."""
    return " ".join(f"tok{index}" for index in range(int(_directives(message).get("n", 20))))


@dataclass(frozen=True)
class Asked:
    """One call of the model: what was said, with which settings, and how many tokens of the answer were sent."""

    message: str
    model: str
    effort: str | None
    images: int
    sent: int
    closed: bool
    closed_early: bool


class DirectedModel(MockOpenAI):
    """Every call is answered as its last user message says."""

    def is_call(self, path: str) -> bool:
        return path == ASKED or super().is_call(path)

    def whole(self, request: Request, answer: Answer) -> Body | None:
        if request.path != ASKED:
            return super().whole(request, answer)
        calls = [request for request in self.requests if request.body]
        return {"asked": [{
            "message": _asked(call.body), "model": call.body.get("model"), "effort": call.body.get("reasoning_effort"),
            "images": _images(call.body), "sent": call.sent, "closed": call.closed.is_set(),
            "closed_early": call.closed_early,
        } for call in calls]}  # fmt: skip

    def refusal(self, request: Request) -> str | None:
        return "the model was told to fail" if "fail" in _directives(_asked(request.body)) else None

    def limit(self, body: Body) -> int | None:
        return None

    def answer(self, reply: Reply, body: Body) -> Answer:
        told = _directives(_asked(body))
        thoughts = [f"thought{index} " for index in range(int(told.get("think", 0)))]
        results = [_text(message) for message in _turn(body) if message["role"] == "tool"]
        calls = [] if results else _calls(told)
        if "echo" in told:
            texts = [_echo(body)]
        elif results:
            texts = [f"it said: {results[-1]}"]
        else:
            texts = [] if calls and "n" not in told else re.findall(r"\S+ ?", answer_to(_asked(body)))
        paced = Reply(interval=float(told.get("ms", 0)) / 1000, delay=float(told.get("first", 0)) / 1000)
        return Answer(thoughts, texts, calls, paced, False)


def _calls(told: dict[str, str]) -> list[tuple[str, str]]:
    calls = [("exec", json.dumps({"command": told["exec"]}))] if "exec" in told else []
    if "call" in told:
        name, _, arguments = told["call"].partition(" ")
        calls.append((name, arguments or "{}"))
    return calls


def _directives(message: str) -> dict[str, str]:
    return dict(_DIRECTIVE.findall(message))


def _turn(body: Body) -> list[Body]:
    """The newest message of the user and what came after it; nothing where the request is not for an answer."""
    messages: list[Body] = body.get("messages", [])
    said = [at for at, message in enumerate(messages) if message["role"] == "user" and not _is_context(message)]
    return messages[said[-1] :] if said else []


def _is_context(message: Body) -> bool:
    """Whether a gateway itself says this: 2026.9.6 ends each request with what goes on beside, as the user's word."""
    return "OPENCLAW_INTERNAL_CONTEXT" in _text(message)


def _asked(body: Body) -> str:
    turn = _turn(body)
    return _text(turn[0]) if turn else ""


def _text(message: Body) -> str:
    content: Any = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


def _images(body: Body) -> int:
    return sum(
        part.get("type") == "image_url"
        for message in body["messages"]
        for part in (message.get("content") if isinstance(message.get("content"), list) else [])
    )


def _echo(body: Body) -> str:
    tools = ",".join(sorted(tool["function"]["name"] for tool in body.get("tools", [])))
    said = sum(message["role"] == "user" and not _is_context(message) for message in body["messages"])
    return (
        f"model={body.get('model')} effort={body.get('reasoning_effort')} users={said} images={_images(body)} "
        f"tools={tools}"
    )


class ModelProcess:
    """The model in a process of its own, so that the connections of gateways to it are none of the tests'."""

    def __enter__(self) -> ModelProcess:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate("", timeout=120)

    def asked(self, words: str) -> list[Asked]:
        """The calls whose message has these words in it, the oldest first."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + ASKED, timeout=120) as answer:
            calls = [Asked(**call) for call in json.load(answer)["asked"]]
        return [call for call in calls if words in call.message]


if __name__ == "__main__":
    alone(DirectedModel)
