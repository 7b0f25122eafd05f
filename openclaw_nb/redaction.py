"""Redaction: the values of secrets in text become their references, before the text is kept anywhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote

from .secret import SHORTEST, revealed

__all__ = ["UNNAMED", "USERINFO", "redact", "secret_in", "settled"]

UNNAMED = "***"
"""What stands in place of a secret that has no name."""

USERINFO = r"://(?:[^\s/?#\"'<>]*|[^\s/@:\"'<>]{1,256}:[^\s/@\"'<>]{1,256}/[^\s\"'<>]{1,256})@"
"""What comes before the host in an address; the second form is of passwords with a slash, which nobody escapes."""

_HEAD = 10
"""Characters of a secret that count as it where the text ends in its middle, as an answer that was stopped does."""

_DEEPEST = 110  # the store refuses what is deeper than 100
_SECRET_NAME = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?(?:_?\d{1,3})?\Z", re.IGNORECASE
)
_USERINFO = re.compile(USERINFO)
_CREDENTIALS = r"[^\s\"'`)>,;&]"
_FIELD = r"(?:api[-_]?key|(?:access|auth|csrf|private|refresh|secret|session)[-_](?:key|token))"
_IS = r"""\\?["']?\s{0,4}[:=]\s{0,4}\\?["']?"""
_NEW = r"(?!env:|keyring:|\*\*\*)"
_SCHEME = r"(?:apikey|basic|bearer|bot|digest|negotiate|token)"
# A name in prose is followed by a word, and in a header by what hardly is one: eight characters after a scheme, sixteen
# of a token, a digit among them where no name says what they are.
_HEADER = re.compile(
    rf"""(?P<scheme>authorization{_IS}{_SCHEME}[ \t]{{1,4}}){_NEW}{_CREDENTIALS}{{8,}}
      |(?P<name>(?:authorization|{_FIELD}){_IS}){_NEW}{_CREDENTIALS}{{16,}}
      |(?P<bare>\b(?:bearer|basic)[ \t]{{1,4}}){_NEW}(?={_CREDENTIALS}{{0,200}}\d){_CREDENTIALS}{{16,}}
      |(?P<cookie>cookie{_IS})(?=[\w.-]{{1,60}}=)[^\r\n"'`]{{8,4096}}""",
    re.IGNORECASE | re.VERBOSE,
)
_FIELDS = re.compile(rf"(?:proxy-)?authorization|(?:set-)?cookie|(?:[\w-]{{1,20}}[-_])?{_FIELD}", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:env|keyring):\S+")
_SIGNS = ("authorization", "bearer", "basic", "cookie", "apikey", "-key", "_key", "-token", "_token")
"""One of them is in whatever _HEADER matches."""

# What may be the beginning of any of these: the word at the end, and a header's name without its credentials.
_BEGUN = re.compile(
    rf"""(?:(?:authorization|{_FIELD}){_IS}(?:{_SCHEME}[ \t]{{1,4}})?|\b(?:bearer|basic)[ \t]{{1,4}}){_CREDENTIALS}*\Z
      |(?:authorization|{_FIELD}|cookie)\\?["']?\s{{0,4}}\Z|cookie{_IS}[^\r\n"'`]*\Z|(?<![!-~])[!-~]+\Z""",
    re.IGNORECASE | re.VERBOSE,
)


class _Known:
    """The values to look for, as they were at one moment, each with its reference; longest first."""

    def __init__(self, environment: Mapping[Any, Any], others: Mapping[str, str]) -> None:
        self.environment, self.others = dict(environment), dict(others)
        names = os.environ.copy()
        values = self.others | {
            value: f"env:{name}"
            for name, value in sorted(names.items(), reverse=True)
            if len(value) >= SHORTEST and _SECRET_NAME.search(name)
        }
        self.references = {
            form: reference
            for value, reference in sorted(values.items(), key=lambda item: -len(item[0]))
            if value not in names and not value.startswith(("env:", "keyring:"))
            for form in _forms(value)
        }
        self.forms = tuple(self.references)
        # Many begin as a path or an address does; the beginning of those says nothing yet.
        self.heads = tuple((form[:_HEAD], form) for form in self.forms if not form.startswith(("/", "~", "http")))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, sorted(self.forms, key=len, reverse=True))))

    @cached_property
    def encoded(self) -> dict[bytes, str]:
        """The forms as bytes of arrays and tables may have them."""
        codecs = ("utf-8", "utf-16-le", "utf-32-le", "utf-32-be")
        return {form.encode(codec, "surrogatepass"): name for form, name in self.references.items() for codec in codecs}


def redact(value: Any) -> Any:
    """``value`` without secrets in its texts: plain data as it is, or where one was found, a copy from there up.

    A secret is what a variable of the environment named …KEY, …TOKEN, …SECRET, …PASSWORD, …PASSWD, …PASSPHRASE or
    …CREDENTIALS holds, of 8 characters or more, or a Secret gave in this process, also percent-encoded or escaped as
    in JSON: it becomes its reference. Userinfo in an address and credentials in a header become ``***``. Linear time.
    """
    return _redact(value, _now(), 0)


def secret_in(data: str | bytes) -> str:
    """The reference of a secret that is in there, ``***`` for one that has no name, "" where there is none.

    In bytes only named ones are looked for, in UTF-8, -16 and -32.
    """
    known = _now()
    if isinstance(data, bytes):
        return next((reference for form, reference in known.encoded.items() if form in data), "")
    named = next((known.references[form] for form in known.forms if form in data), "")
    return named or (UNNAMED if _clean(data, known) != data else "")


def settled(text: str) -> int:
    """How much of a text that still grows, from its beginning, can be kept before the rest of it is known.

    No secret begins in there and ends behind it: the last word of ASCII stays out (up to 8,192 characters of it), and
    so do a header and the value of a secret that may just have begun.
    """
    known = _now()
    end = len(text)
    for form in known.forms:
        cuts = range(min(len(form) - 1, len(text)), 0, -1)
        end = min(end, len(text) - next((cut for cut in cuts if text.endswith(form[:cut])), 0))
    line = max(text.rfind("\n", 0, end) + 1, end - 8192)
    begun = _BEGUN.search(text, line, end)
    end = begun.start() if begun else end
    patterns = (*([known.pattern] if known.forms else []), _USERINFO, _HEADER)
    whole = sorted((found.span() for pattern in patterns for found in pattern.finditer(text)), reverse=True)
    for start, stop in whole:  # from the last one, as one may begin in another
        end = start if start < end < stop else end
    return end


def _now() -> _Known:
    """What is to be looked for now: comparing two dicts of the same objects is what a short text can afford."""
    global _known
    known = _known
    environment = getattr(os.environ, "_data", os.environ)
    if known.environment != environment or known.others != revealed():
        known = _known = _Known(environment, revealed())
    return known


def _forms(value: str) -> dict[str, None]:
    """A value as text holds it: itself, escaped as in JSON and Python, percent-encoded; a dict for its order."""
    escaped = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    return dict.fromkeys((value, *escaped, quote(value, safe="", errors="surrogatepass")))


def _redact(value: Any, known: _Known, depth: int) -> Any:
    if isinstance(value, str):
        return _clean(value, known)
    if value is None or isinstance(value, (int, float)) or depth > _DEEPEST:
        return value
    if isinstance(value, dict):
        pairs = [_pair(key, item, known, depth + 1) for key, item in value.items()]
        changed = any(a is not c or b is not d for (a, b), (c, d) in zip(value.items(), pairs, strict=True))
        return dict(pairs) if changed else value
    if isinstance(value, (list, tuple)):
        items = [_redact(item, known, depth + 1) for item in value]
        changed = any(a is not b for a, b in zip(value, items, strict=True))
        return (items if isinstance(value, list) else tuple(items)) if changed else value
    return value


def _pair(key: Any, item: Any, known: _Known, depth: int) -> tuple[Any, Any]:
    """One item of a dict, which may be a header by its key: there the whole text is a secret."""
    clean = _redact(item, known, depth)
    if not isinstance(key, str):
        return _redact(key, known, depth), clean
    if clean is item and isinstance(item, str) and len(item) >= SHORTEST:
        clean = UNNAMED if _is_field(key) and not _REFERENCE.fullmatch(item) else item
    return _clean(key, known), clean


@lru_cache(maxsize=1024)
def _is_field(key: str) -> bool:
    """Whether a key says that its value is a secret; most keys are the same few."""
    folded = key.lower()
    return any(sign in folded for sign in _SIGNS) and _FIELDS.fullmatch(key) is not None


def _clean(text: str, known: _Known) -> str:
    if len(text) < SHORTEST and "@" not in text:  # neither a secret nor a part that counts as one
        return text
    for form in known.forms:
        if form in text:
            text = known.pattern.sub(lambda found: known.references[found[0]], text)
            break
    for head, form in known.heads:
        at = text.rfind(head, max(0, len(text) - len(form)))
        if at >= 0 and form.startswith(text[at:]):
            text = text[:at] + known.references[form]
            break
    if "@" in text and "://" in text:
        text = _USERINFO.sub(f"://{UNNAMED}@", text)
    if len(text) < SHORTEST:
        return text
    folded = text.lower()
    for sign in _SIGNS:
        if sign in folded:
            return _HEADER.sub(rf"\g<scheme>\g<name>\g<bare>\g<cookie>{UNNAMED}", text)
    return text


_known = _Known({}, {})
