"""What a model is told at each stage of a deliberation, and how its verdict is read.

The user's own message stays as it was typed, in front: what a model wrote itself (a plan, drafts, objections) comes
behind it as data in fences of its own, and nothing of either reaches the instructions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..models.base import Message, ModelRequest, Stage
from ..prompts import fence_for

__all__ = ["ALOUD", "aloud", "read_verdict", "staged"]

ALOUD = (
    "Before you answer, think step by step, briefly, between <think> and </think>; then give the answer alone, "
    "without mentioning these thoughts."
)
"""What level 2 tells a model that does not think by itself."""

PLAN = (
    "Do not answer this yet. Write a short plan for the answer: a numbered list of at most six lines, each one step, "
    "and how its result can be checked. Write the plan only."
)

ANSWER = "Answer the message above, following this plan; give the answer alone, without the plan."

FOUND = "This is what tools were asked for it already, and what they gave."

CANDIDATE = "Answer in your own way, independently of how others might; this is attempt {number}."

EARLIER = "A draft follows that did not pass a check, and what is wrong with it: make none of its errors."

CHECK = (
    "Here is a draft of an answer to the message above. Check it: is every part of the message{plan} served, is every "
    "fact, number and step of code right? Recompute what can be recomputed. Name each error in one line. Do not write "
    "a new answer. End with a line that is VERDICT: pass where there is no error that matters, else VERDICT: fail."
)

REPAIR = (
    "Here is a draft of an answer to the message above, and what a check says is wrong with it. Write the whole answer "
    "anew without these errors; give the answer alone, and mention neither draft nor check."
)

JOIN = (
    "Here are several drafts of an answer to the message above, each with what a check says of it. Compare them, "
    "decide where they differ, and write the one best answer; give the answer alone, and mention no draft."
)

_VERDICT = re.compile(r"^[^\w\n]*_*verdict[\W_]{1,20}(pass|fail)", re.IGNORECASE | re.MULTILINE)


def aloud(request: ModelRequest) -> ModelRequest:
    """The same for a model that does not think by itself: it is asked to think aloud, apart from its answer."""
    return replace(request, instructions="\n\n".join(filter(None, (request.instructions, ALOUD))))


def staged(request: ModelRequest, stage: Stage) -> ModelRequest:
    """The request for one stage of the answer to ``request``, of which the last message is the user's."""
    words = _words(stage)
    content = "\n\n".join([stage.question["content"], *words]) if words else stage.question["content"]
    message: Message = {**stage.question, "content": content}
    schema = request.output if stage.kind in ("answer", "repair", "join") else None
    return replace(request, messages=(*request.messages[:-1], message), stage=stage, output=schema)


def read_verdict(text: str) -> bool:
    """Whether a check passed: by its last verdict; one that gives none has not."""
    found = _VERDICT.findall(text)
    return bool(found) and found[-1].lower() == "pass"


def _words(stage: Stage) -> list[str]:
    plan = _fenced("plan", stage.plan)
    found = [FOUND, *_fenced("found", stage.found)] if stage.found else []
    match stage.kind:
        case "plan":
            return [PLAN]
        case "answer":
            others = [CANDIDATE.format(number=stage.number)] if stage.number > 1 else []
            earlier = [EARLIER, *_judged(stage)] if stage.drafts else []
            return [*([ANSWER, *plan] if plan else []), *found, *others, *earlier]
        case "check":
            asked = CHECK.format(plan=" and of the plan" if plan else "")
            return [asked, *plan, *_fenced("draft", stage.drafts[0]), *found]
        case "repair":
            return [REPAIR, *plan, *_judged(stage), *found]
        case "join":
            return [JOIN, *_judged(stage), *found]


def _judged(stage: Stage) -> list[str]:
    """The drafts, each with what a check said of it."""
    many = len(stage.drafts) > 1
    words: list[str] = []
    for at, draft in enumerate(stage.drafts):
        number = f" {at + 1}" if many else ""
        words += _fenced(f"draft{number}", draft)
        if said := _at(stage.objections, at):
            words += _fenced(f"check{number}", said)
    return words


def _at(said: Sequence[str], at: int) -> str:
    return said[at] if at < len(said) else ""


def _fenced(title: str, text: str) -> list[str]:
    """What a model wrote, in a fence that nothing in it can end."""
    if not text:
        return []
    fence = fence_for(text)
    return [f"{fence}{title.replace(' ', '-')}\n{text}\n{fence}"]
