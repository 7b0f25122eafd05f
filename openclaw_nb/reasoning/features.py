"""Features of a task's text: named counts of what it asks for, how long it is and what it is about.

They come from the question alone. Values of the notebook that follow it, quotations, pasted code and politeness are
set aside first: their length is no difficulty. Every feature is a count, 0 where it is not in the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ..prompts.filling import INTRO
from ..prompts.parts import take_part
from . import lexicon

__all__ = ["GROUPS", "HIGHEST", "KINDS", "NAMES", "describe", "extract"]

HEAD, TAIL = 900, 300
"""Characters that are looked at: of a longer question its beginning and its end, where people say what they want."""

MOST, HIGHEST = 60, 600
"""Above the first a count says no more, above the second one of words."""

_LENGTH = {
    "words": "{n} words",
    "sentences": "{n} sentences",
}

_PHRASES = {
    "proof": "asks for a proof",
    "derivation": "asks for a derivation",
    "design": "asks for a design",
    "implementation": "asks for an implementation",
    "comparison": "asks for a comparison",
    "analysis": "asks for an analysis",
    "debugging": "asks to find a fault",
    "why": "asks why",
    "explanation": "asks for an explanation",
    "summary": "asks for a summary",
    "writing": "asks for a text",
    "planning": "asks for a plan",
    "optimisation": "asks for the best solution",
    "application": "asks for applications",
    "recommendation": "asks for a recommendation",
    "counting": "asks for a count or a chance",
    "translation": "a translation",
    "conversion": "a conversion",
    "arithmetic": "plain arithmetic",
    "edit": "a small edit",
    "definition": "asks what something means",
    "fact": "asks for a fact",
    "small talk": "small talk",
    "system": "a system to build",
    "conditions": "{n} conditions",
    "constraints": "{n} constraints",
    "relations": "{n} relations between quantities",
    "operations": "{n} things done to quantities",
    "steps": "{n} steps",
    "depth": "wants depth",
    "brevity": "wants it brief",
    "abstract maths": "abstract mathematics",
    "objects": "{n} objects of mathematics",
    "numbers": "{n} numbers",
    "story": "a sum told as a story",
    "quantity": "asks how many or how much",
    "request": "a request",
    "requests": "{n} requests",
    "items": "{n} items in a list",
    "questions": "{n} questions",
    "abstract words": "{n} abstract words",
    "formulas": "formulas",
    "notation": "{n} commands of LaTeX",
    "nesting": "nested formulas",
    "letters": "{n} variables",
    "signs": "{n} signs of formulas",
    "figure": "a drawing",
    "data": "values of the notebook",
    "code": "code to look at",
    "quotation": "a quotation",
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "task_complexity": tuple(_PHRASES),
    "query_length": tuple(_LENGTH),
    "domain": tuple(f"about {topic}" for topic in lexicon.TOPICS),
}
"""The names of all features, by the three groups of the OpenClaw 2026.3.1 document."""

NAMES = tuple(name for names in GROUPS.values() for name in names)

KINDS = frozenset({*lexicon.ASKS, "small talk", "system", *GROUPS["domain"], "data", "code", "abstract maths"})
"""Features that tell what kind of task it is, rather than how much of something there is in it."""

_TOLD_FROM = {
    "words": 40, "sentences": 4, "request": 2, "requests": 2, "numbers": 2, "conditions": 2, "constraints": 2,
    "relations": 2, "operations": 2, "steps": 2, "items": 3, "questions": 2, "abstract words": 2, "notation": 2,
    "letters": 2, "signs": 2, "objects": 2,
}  # fmt: skip
"""From which count on a feature is worth telling; the others from 1."""

_CJK = re.compile("[\u3400-\u9fff]")
_TOKENS = re.compile(
    r"\\[a-z]+|[^\W\d_]+(?:[-'’/][^\W\d_]+)*|\d+(?:[.,:/]\d+)*|[.!?;:,，。？！；：、\n{}()+*/^_=<>×÷$%-]"
)
_ASIDE = (
    ("figure", re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)),
    ("code", re.compile(r"```.*?(?:```|\Z)", re.DOTALL)),
    ("quotation", re.compile(r'"[^"\n]{12,}"|“[^“”]{6,}”|«[^«»]{6,}»|„[^„“”]{6,}[“”]|「[^「」]{6,}」')),
)
_FORMULA = re.compile(r"\\\[.*?\\\]|\$(?![^$]*[a-z]{3,} +[a-z]{2,})[^$\s](?:[^$\n]{0,200}?[^$\s])?\$")
_LETTERS = re.compile("[A-Za-z]+")
_CALCULATION = re.compile(r"\d ?[-+*/×÷^x] ?\d")
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_ENDS = frozenset(".!?。？！\n")
_QUESTION_MARKS = frozenset("?？")
_BREAKS = _ENDS | frozenset(";:,，、；：")
_WORK = ("proof", "derivation", "design", "implementation", "comparison", "analysis", "summary", "writing")
_NO_REQUESTS = frozenset({"requests", "edit", "definition", "fact"})
_DONE_IN_STORIES = ("design", "implementation", "debugging", "writing", "planning", "edit", "requests", "small talk")
_FLAGS = ("translation", "conversion", *GROUPS["domain"])  # more words for one thing make it no more
_OPENING, _CLOSING = frozenset("{("), frozenset("})")
_SIGNS = frozenset("+*/^_=<>×÷-")
_ABSTRACT = ("tion", "tions", "ity", "ities", "ism", "ance", "ence", "ment", "logy", "ysis", "eses", "esis", "ness",
             "ung", "keit", "heit", "ción", "dad", "ité", "ical", "istic", "ative", "able", "ional")  # fmt: skip


class _Words:
    """A word list that is quick to look up in: what each word, or the words from it on, counts for."""

    def __init__(self, lists: Iterable[tuple[str, str]]) -> None:
        self.exact: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
        self.prefixes: dict[str, list[tuple[str, str]]] = {}
        self.cjk: list[tuple[str, str]] = []
        for feature, words in lists:
            for entry in words.split():
                self._add(feature, entry)

    def _add(self, feature: str, entry: str) -> None:
        if _CJK.match(entry):
            self.cjk.append((feature, entry))
        elif entry.endswith("*"):
            self.prefixes.setdefault(entry[:3], []).append((feature, entry[:-1]))
        else:
            where = entry[0] if entry[0] in "^?" else ""
            first, *rest = entry.removeprefix(where).split("_")
            self.exact.setdefault(first, []).append((feature, where, tuple(rest)))


_WORDS = _Words(
    [
        *lexicon.ASKS.items(), *lexicon.COUNTED.items(), ("systems", lexicon.SYSTEMS), ("doubts", lexicon.DOUBTS),
        ("units", lexicon.UNITS), ("numbers", lexicon.NUMBERS), ("you", lexicon.SECOND_PERSON),
        ("languages", lexicon.LANGUAGES), ("greetings", lexicon.GREETINGS),
        *((f"about {topic}", words) for topic, words in lexicon.TOPICS.items()),
        ("requests", " ".join(v if _CJK.match(v) else f"^{v}" for v in lexicon.REQUESTS.split())),
    ]
)  # fmt: skip
_POLITE = frozenset(lexicon.POLITE.split())
_THANKS = frozenset(lexicon.GREETINGS.split())
_STARTERS = frozenset(lexicon.STARTERS.split()) | _BREAKS | {""}
_ASKING = frozenset(lexicon.ASKING.split()) | (_BREAKS - {",", "，"}) | {""}


def extract(text: str) -> dict[str, int]:
    """What is in a task's text: the features that are there, by name, each with its count (1 or more).

    It never fails, and takes less than a millisecond, whatever the text: of a long one only a part is looked at.
    """
    counts: Counter[str] = Counter()
    question = _question(text, counts)
    _look_at_formulas(_FORMULA.findall(question), counts)
    lower = _FORMULA.sub(_letters, question).lower()
    tokens = _TOKENS.findall(lower)
    _read(tokens, counts)
    if _CJK.search(lower):
        _read_cjk(lower, counts)
    counts["items"] = len(_ITEM.findall(question)) + sum(map(tokens.count, ",，、"))
    if _CALCULATION.search(lower) and not counts["formulas"]:
        counts["arithmetic"] += 1
    _conclude(counts)
    return {name: min(int(counts[name]), HIGHEST if name == "words" else MOST) for name in NAMES if counts[name] > 0}


def describe(name: str, count: int) -> str:
    """A feature as a person reads it, "4 conditions", or "" where it tells a person nothing."""
    if count < _TOLD_FROM.get(name, 1):
        return ""
    return (_PHRASES | _LENGTH).get(name, name).format(n=count)


def _question(text: str, counts: Counter[str]) -> str:
    """The part of a text in which the user asks, bounded; what is set aside is counted."""
    text = take_part(text)[1]
    end = text.find(f"\n\n{INTRO}\n\n```")
    if end >= 0:
        counts["data"] = text.count("`data name=", end)
        text = text[:end]
    if len(text) > 4 * (HEAD + TAIL):
        text = f"{text[: 3 * HEAD]}\n{text[-3 * TAIL :]}"
    for name, pattern in _ASIDE:
        text, found = pattern.subn(" ", text)
        counts[name] += found
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    return text


def _read(tokens: list[str], counts: Counter[str]) -> None:
    """Count what each word stands for, sentence by sentence; one that is mere politeness counts for nothing."""
    previous, words, hits, thanks = "", 0, 0, False
    for at, token in enumerate([*tokens, "."]):
        if token in _ENDS:
            counts["questions"] += token in _QUESTION_MARKS
            if words > 1 and (hits or not thanks):
                counts["sentences"] += 1
                counts["words"] += words
            words, hits, thanks = 0, 0, False
        elif token[0].isdigit():
            counts["numbers"] += 1
            words += 1
        elif token in _POLITE:
            thanks = thanks or token in _THANKS
            counts["greetings"] += token in _THANKS
        elif token[0].isalpha():
            words += 1
            if token in _WORDS.exact or token[:3] in _WORDS.prefixes or "-" in token:
                hits += _hit(tokens, at, previous, counts)
            if len(token) > 7 and token.endswith(_ABSTRACT):
                counts["abstract words"] += 1
        previous = token


def _hit(tokens: list[str], at: int, previous: str, counts: Counter[str]) -> int:
    """Count what the word at one place stands for, each once; gives how many asks it is."""
    names = set(_names(tokens, at, previous))
    for name in names:
        counts[name] += 1
    return len(names & lexicon.ASKS.keys())


def _names(tokens: list[str], at: int, previous: str) -> Iterator[str]:
    token = tokens[at]
    entries = _WORDS.exact.get(token) or _WORDS.exact.get(token.partition("-")[0], [])  # as in "comparez-les"
    for name, where, rest in entries:
        if rest and tuple(tokens[at + 1 : at + 1 + len(rest)]) != rest:
            continue
        if where and previous not in (_STARTERS if where == "^" else _ASKING):
            continue
        yield name
        if where == "^" and name not in _NO_REQUESTS:
            yield "requests"
    for name, prefix in _WORDS.prefixes.get(token[:3], ()):
        if token.startswith(prefix):
            yield name


def _read_cjk(text: str, counts: Counter[str]) -> None:
    """Chinese has no spaces: its words are found wherever they stand, and its length is put in words of English."""
    counts["words"] += len(_CJK.findall(text)) * 2 // 3
    for name, word in _WORDS.cjk:
        if found := text.count(word):
            counts[name] += found
            counts["requests"] += name in lexicon.ASKS and name not in _NO_REQUESTS
    if counts["fact"]:  # as in 誰寫
        counts["requests"] -= counts["writing"] > 0
        counts["writing"] = 0


def _letters(formula: re.Match[str]) -> str:
    return f" {' '.join(_LETTERS.findall(formula[0]))} "


def _look_at_formulas(formulas: list[str], counts: Counter[str]) -> None:
    if not formulas:
        return
    tokens = _TOKENS.findall("\n".join(formulas).lower())
    depth = deepest = 0
    for token in tokens:
        depth = max(0, depth + (token in _OPENING) - (token in _CLOSING))
        deepest = max(deepest, depth)
    counts["formulas"] = 1
    counts["notation"] = sum(token[0] == "\\" for token in tokens)
    counts["nesting"] = max(0, deepest - 1)
    counts["letters"] = len({token for token in tokens if len(token) == 1 and token.isalpha()})
    counts["signs"] = sum(token in _SIGNS for token in tokens)


def _conclude(counts: Counter[str]) -> None:
    """What follows from several counts together."""
    words, asked = counts["words"], any(counts[name] for name in lexicon.ASKS)
    built = any(counts[name] for name in ("design", "implementation", "writing", "proof", "planning"))
    mended = counts["debugging"] and not counts["design"]
    counts["proof"] -= counts["doubts"]
    counts["system"] = min(counts["systems"], 3) if built and not mended else 0
    counts["translation"] += bool(counts["languages"]) and words < 40 and not counts["fact"]
    counts["conversion"] += counts["units"] > 1 and bool(counts["quantity"]) and counts["numbers"] < 3 and words < 20
    if counts["translation"]:
        counts["explanation"] = counts["edit"] = 0
    if not counts["requests"] and any(counts[name] for name in _WORK):
        counts["requests"] = 1
    spoken_to = counts["greetings"] or counts["you"]
    counts["small talk"] = spoken_to > 0 and not (asked or counts["numbers"] or counts["formulas"])
    counts["story"] = counts["quantity"] > 0 and counts["numbers"] > 1 and words > 15 and not counts["formulas"]
    if counts["story"] and counts["numbers"] > 2:  # its verbs are what the people in it do
        for name in _DONE_IN_STORIES:
            counts[name] = 0
    if counts["explanation"] or counts["summary"]:
        counts["definition"] = counts["fact"] = 0
    if not counts["requests"] or counts["formulas"] or counts["story"]:
        counts["items"] = 0
    if counts["requests"] or counts["formulas"] or counts["numbers"] > 2:
        counts["fact"] = 0
    counts["request"] = counts["requests"] > 0 and not counts["formulas"]
    counts["requests"] = max(0, counts["requests"] - 1) and counts["requests"]
    counts["objects"] = counts["about maths"]
    for name in _FLAGS:
        counts[name] = min(counts[name], 1)
