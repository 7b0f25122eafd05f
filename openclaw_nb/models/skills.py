"""What the offline model can do: one table of patterns and answers, in order, and how an answer is put together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import calculator, coding, commands, conversation, demonstrations, documentation, exceptions, units, variables
from .question import Question

__all__ = ["SKILLS", "Answer", "Part", "Skill", "answer"]

LONGEST_SENTENCE = 600  # characters; what is longer is prose and no question to a fixed skill
MOST_RESUMED = 50  # times that one answer can be continued


@dataclass(frozen=True, slots=True)
class Skill:
    """``answer`` is asked where ``pattern`` matches a whole sentence; None from it passes the sentence on."""

    name: str
    pattern: re.Pattern[str]
    answer: Callable[[re.Match[str], Question], str | None]


@dataclass(frozen=True, slots=True)
class Part:
    """What one skill answers to one sentence of a question, or to one piece of its data, by its name."""

    asked: str
    skill: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole text of an answer, in Markdown, the parts it is put together from, and the sentences left open."""

    text: str
    parts: tuple[Part, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def skills(self) -> tuple[str, ...]:
        """The names of the skills it came from."""
        return tuple(dict.fromkeys(part.skill for part in self.parts))


def _skill(name: str, answer: Callable[[re.Match[str], Question], str | None], *patterns: str) -> Skill:
    either = "|".join(pattern.replace(" ", r"\s+") for pattern in patterns)
    return Skill(name, re.compile(rf"(?:{either})\W*\Z", re.IGNORECASE), answer)


_NAME = r"(?P<name>`?[^\W\d]\w*(?:\.[^\W\d]\w*)*`?)"
_NUMBER = r"\d[\d,_]*"
_ERROR = (
    r"(?<!standard\s)(?<!squared\s)(?<!absolute\s)\berrors?\b(?! (?:rate|bars?|terms?|of the|handling)\b)"
    r"|\b(?:exceptions?|traceback|fail(?:s|ed|ing|ure)?|crash(?:e[sd])?|went wrong|is wrong|\w+(?:Error|Interrupt))\b"
)

#: The first skill that answers a sentence has it. A space in a pattern stands for any white space.
SKILLS: tuple[Skill, ...] = (
    _skill(
        "counting", demonstrations.count,
        rf"count (?:from (?P<first>{_NUMBER}) )?(?:(?:up|down) )?to (?P<last>{_NUMBER})\b[^?]*",
    ),
    _skill(
        "placeholder text", demonstrations.write_words,
        rf"(?:write|give me|show|print|generate) (?P<words>{_NUMBER}) words(?: of (?:lorem|placeholder|text)\b.*)?",
        rf"(?:(?:write|show|give me) )?(?:some )?lorem(?: ipsum)?(?: (?P<lorem>{_NUMBER})(?: words)?)?",
    ),
    _skill(
        "a demonstration", demonstrations.show_markdown,
        r"(?:show|write|demonstrate|render)(?: me)?(?: some| a| the)? markdown(?: demo| sample| example)?",
        r"markdown demo",
    ),
    _skill(
        "itself", commands.answer_identity,
        r"(?:hi|hello|hey|good (?:morning|afternoon|evening)|help(?: me)?)\b",
        r"(?:who|what) are you\b.*", r"are you (?:an?|really|chatgpt|gpt|claude|real)\b.*", r"what(?:'s| is) your name",
        r"(?:which|what) (?:language )?model (?:are you|is this|am i)\b.*", r"(?:introduce|describe) yourself",
        r"what can (?:you|i) (?:do|ask)\b.*", r"what do you do",
    ),
    _skill("the commands", commands.answer_command, r".*(?:(?<![\w-])--[a-z]|%openclaw +[a-z]).*"),
    _skill(
        "the commands", commands.answer_overview,
        r".*%{1,2}openclaw\b.*",
        r".*\b(?:options|commands|subcommands|magics?)\b.*\b(?:openclaw|you|there|available)\b.*",
        r"(?:how do i|how to|help (?:on|with)|what is|explain) (?:use )?(?:this|openclaw|openclaw_nb)",
        r"(?:(?:show|list)(?: me)? )?(?:the |your |all )?(?:options|commands)",
    ),
    _skill(
        "the commands", commands.answer_how,
        r"(?:how (?:do|can|could|should) (?:i|we|one|you)|how to|where (?:is|do i|can i)|can i|is there a way to)\b.*",
    ),
    _skill(
        "the last error", exceptions.answer,
        rf".*\b(?:explain|why|what|describe|understand|debug|fix|help)\b.*(?:{_ERROR}).*",
        r"(?:(?:the|my|this) )?(?:last )?(?:error|exception|traceback)", r"what happened", r"\w+Error\b(?::.*)?",
    ),
    _skill(
        "the conversation", conversation.recall_questions,
        r"what(?: \w+){0,2} (?:did|have|had) i (?:\w+ )?(?:ask|say|said|tell|told|write|type).*",
        r"what (?:was|were|are) my (?:(?:last|previous|first|earlier) )?(?:questions?|prompts?|messages?)\b.*",
    ),
    _skill(
        "the conversation", conversation.recall_fact,
        r"(?:do you know )?(?:what(?:'s| is| was) my (?P<key>\w[\w\s]{0,40}?)|who (?:am i|i am))(?: again)?",
    ),
    _skill(
        "code", coding.answer,
        r"(?:implement|code|program|build|develop)\b.*", r"(?:test|review|check)\b.*",
        r"(?:write|create|make|add|give me|show me)\b.*"
        r"\b(?:code|function|program|class|script|module|implementation|tests)\b.*",
    ),
    _skill("units", units.answer, r".+"),
    _skill("arithmetic", calculator.answer, r".+"),
    _skill(
        "documentation", documentation.answer,
        r"(?:what (?:does|do|is|are)|how (?:does|do)|help(?: me)?(?: on| with| for)?|explain|describe"
        r"|(?:show (?:me )?)?(?:the )?(?:signature|docs?|docstring|documentation|parameters|arguments) (?:of|for|on)) "
        rf"(?:the (?:function|method|class) )?{_NAME}(?:\(\))?(?: function| method| class)?(?: do| mean| work| take)?",
    ),
    _skill("documentation", documentation.answer, rf"(?:help\()?{_NAME}[?)]+"),
    _skill("code", coding.answer_by_part, r".+"),
    _skill("the conversation", conversation.note_fact, r".+"),
)  # fmt: skip

_POLITE = re.compile(r"^(?:(?:hi|hello|hey|please|can you|could you|ok|okay|so|now|and|then)\b[\s,!]*)+", re.IGNORECASE)
_GO_ON = re.compile(r"(?:please,? )?(?:continue|go on|carry on|keep going|resume)(?: please)?\W*\Z", re.IGNORECASE)


def answer(question: Question) -> Answer:
    """The answer to a question, the same whenever the same is asked of the same notebook. It never raises."""
    if _GO_ON.match(question.text):
        return _go_on(question)
    parts: dict[str, Part] = {}
    left: list[str] = []
    for sentence in question.sentences:
        if part := _ask(sentence, question):
            parts.setdefault(part.text, part)
        elif len(sentence.split()) > 1:
            left.append(sentence)
    found = list(parts.values())
    if any(part.skill == "the last error" for part in found):
        left = []  # the other lines are those of the traceback
    if question.data and not any(part.skill == "code" for part in found):
        found += [Part(data.name, "the variables", variables.describe(data, question.text)) for data in question.data]
        left = [] if variables.wants_description(question.text) else left
    texts = [part.text for part in found]
    if left or not texts:
        texts.append(commands.SO_FAR if texts else commands.NO_ANSWER)
    return Answer("\n\n".join(texts), tuple(found), tuple(left))


def _ask(sentence: str, question: Question) -> Part | None:
    """What the first skill that answers has to say."""
    if len(sentence) > LONGEST_SENTENCE:
        return None
    sentence = _POLITE.sub("", sentence, count=1) or sentence
    for skill in SKILLS:
        if match := skill.pattern.match(sentence):
            try:
                text = skill.answer(match, question)
            except Exception:  # noqa: S112  # skills read the user's objects, and those may raise whatever they like
                continue
            if text:
                return Part(sentence, skill.name, text)
    return None


def _go_on(question: Question) -> Answer:
    """The rest of an answer that was stopped: it is worked out again, and what was shown is left out."""
    history = list(question.history)
    shown: list[str] = []
    while history and len(shown) < MOST_RESUMED:
        message = history.pop()
        if message["role"] == "assistant":
            shown.insert(0, message["content"])
            continue
        before = Question.of([*history, message], question.workspace, question.instructions)
        if _GO_ON.match(before.text):
            continue
        whole = answer(before)
        rest = conversation.rest_of(whole.text, shown)
        if rest is None:
            return Answer("I cannot go on with an answer that I would not give again word for word.")
        if not rest.strip():
            return Answer("There is nothing to go on with: that was all.")
        return Answer(rest, tuple(Part(question.text, skill, rest) for skill in whole.skills))
    return Answer("There is nothing to go on with yet.")
